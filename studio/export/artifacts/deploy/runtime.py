"""What a server needs on the machine it runs on: a compose file, one plain command, the settings both read."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from studio.core.files import read_json, write_text
from studio.core.text import slug
from studio.export.artifacts.manifest import Artifact
from studio.export.merging.source import Source

LEAST_CONTEXT = 4096
"""Tokens of prompt and answer a server is given room for at least, if the model takes them."""
GPU = {"resources": {"reservations": {"devices": [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]}}}
"""One NVIDIA GPU, as the Compose specification asks for it."""


@dataclass(frozen=True)
class Facts:
    """One export as a server sees it."""

    source: Source
    artifact: Artifact

    @property
    def folder(self) -> Path:
        """Where the export lies now."""
        return self.artifact.path

    @property
    def name(self) -> str:
        """What requests call the model."""
        return slug(self.source.name)

    @property
    def limit(self) -> int | None:
        """Tokens the base model can take."""
        config = self.source.base.config
        return (config.get("text_config") or config).get("max_position_embeddings")

    @property
    def context(self) -> int:
        """Tokens of prompt and answer to serve: twice the longest row of training, at least 4,096, at most what the base
        takes. The base's own limit would be too much for the cache on one consumer GPU."""
        wanted = max(LEAST_CONTEXT, 2 * self.source.longest)
        return min(wanted, self.limit) if self.limit else wanted

    @cached_property
    def gguf(self) -> str:
        """The name of its GGUF file, or nothing."""
        return next((file.name for file in sorted(self.folder.glob("*.gguf"))), "")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The `config.json` of a model folder that servers load, or nothing."""
        there = self.folder / "config.json"
        return read_json(there) if there.exists() and any(self.folder.glob("*.safetensors")) else {}

    @cached_property
    def adapter(self) -> dict[str, Any]:
        """The `adapter_config.json` of a PEFT folder, or nothing."""
        there = self.folder / "adapter_config.json"
        return read_json(there) if there.exists() else {}

    @property
    def template(self) -> str:
        """The trained chat template, if it lies beside the weights as a file."""
        there = self.folder / "chat_template.jinja"
        return there.read_text("utf-8") if there.exists() else ""

    @property
    def hub_base(self) -> str:
        """The base model's hub id, or nothing for a folder."""
        return self.source.base_id


@dataclass(frozen=True)
class Setting:
    """A line of `.env`. value None: it must be given."""

    name: str
    value: str | None
    what: str

    @property
    def reference(self) -> str:
        """The setting where a compose file or a shell script uses it."""
        if self.value is None:
            return f"${{{self.name}:?set {self.name} in .env}}"
        return f"${{{self.name}:-{self.value}}}"


@dataclass(frozen=True)
class Runtime:
    """A server for one export. `folder` is its name below `deploy/`."""

    folder: str
    title: str
    service: dict[str, Any]
    """The compose service: image, command, ports and so on."""
    settings: tuple[Setting, ...]
    command: list[str]
    """The same without a container, run in `deploy/<folder>`; words that begin with `$` are settings."""
    program: str
    """How the command's program is installed."""
    port: int
    health: str
    """The path that answers 200 when requests are taken."""
    protected: bool = True
    """Whether it asks requests for an API key."""
    environment: dict[str, str] = field(default_factory=dict)
    """Environment variables of the plain command, from settings."""
    gpu: dict[str, Any] = field(default_factory=dict)
    """What the service takes besides on a machine with an NVIDIA GPU, where it also runs without one."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further services and volumes of the compose file."""
    notes: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    """Commands before the plain one."""

    def compose(self) -> dict[str, Any]:
        """The compose file."""
        service = {**self.service, "ports": [f"{BIND.reference}:{self.at.reference}:{self.port}"]}
        return {
            "services": {"model": {**service, "restart": "unless-stopped"}, **self.extra.get("services", {})},
            **{name: value for name, value in self.extra.items() if name != "services"},
        }

    @property
    def at(self) -> Setting:
        """The port on the host."""
        return Setting("PORT", str(self.port), "the port on this machine")

    @property
    def every(self) -> tuple[Setting, ...]:
        """Its settings, those every server has among them."""
        return (*self.settings, BIND, self.at)

    def script(self) -> str:
        """The plain command as a shell script that reads `.env`."""
        lines = ["#!/bin/sh", f"# {self.title} without a container. It needs {self.program}", "set -eu", 'cd "$(dirname "$0")"']
        lines += ["if [ -f .env ]; then set -a; . ./.env; set +a; fi"]
        lines += [f'export {name}="{value}"' for name, value in self.environment.items()]
        lines += list(self.before)
        words = [f'"{word}"' if "$" in word else shlex.quote(word) for word in self.command]
        return "\n".join([*lines, f"exec {' '.join(words)}"]) + "\n"

    def write(self, out: Path) -> None:
        """Write `docker-compose.yml`, `.env.example` and `run.sh` into `out/<folder>`."""
        here = out / self.folder
        write_text(here / "docker-compose.yml", f"# {self.title}. Settings: .env, see .env.example\n{_yaml(self.compose())}")
        if self.gpu:
            head = "# On a machine with an NVIDIA GPU: docker compose -f docker-compose.yml -f docker-compose.gpu.yml up -d\n"
            write_text(here / "docker-compose.gpu.yml", head + _yaml({"services": {"model": self.gpu}}))
        lines = [f"# {item.what}\n{item.name}={shlex.quote(item.value) if item.value else ''}\n" for item in self.every]
        head = "# Copy to .env. A value with spaces needs quotes: NAME='two words'\n"
        write_text(here / ".env.example", head + "".join(lines))
        os.chmod(write_text(here / "run.sh", self.script()), 0o755)


KEY = Setting("API_KEY", None, "needed: what clients send as `Authorization: Bearer ...`; make one: openssl rand -hex 24")
BIND = Setting(
    "BIND", "127.0.0.1", "the address that is listened on; 0.0.0.0 opens it to others, who should come through a proxy with TLS"
)


def healthcheck(test: list[str], start: str) -> dict[str, Any]:
    """A compose healthcheck that gives the model `start` to load."""
    return {"test": ["CMD", *test], "interval": "15s", "timeout": "10s", "retries": 4, "start_period": start}


def _yaml(values: dict[str, Any]) -> str:
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)
