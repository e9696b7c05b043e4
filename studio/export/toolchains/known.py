"""The environments there are, where they lie, and whether each is ready.

An environment is an overlay: its packages come first, and behind them it sees those of the studio, so that torch is not
there twice and the studio's own modules run in it. It belongs to the interpreter it overlays and lies beside its packages.
To add one: write its lock file (`python -m studio.export.toolchains.lock`), then add its line here.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from studio.core.errors import ExportError, SpecError
from studio.core.files import read_json
from studio.core.text import nearest

LOCKS = Path(__file__).parent
"""Where the lock files are: `NAME.txt`."""
STAMP = "studio.json"
"""Written last: an environment without it is not there."""


@dataclass(frozen=True)
class Environment:
    """One exporter's environment as its lock file describes it."""

    name: str
    gives: str
    """What it is for, to follow "for"."""
    imports: tuple[str, ...]
    """Modules that must import in it before it counts as ready."""
    bytes: int
    """About what it takes on disk."""
    isolated: bool = False
    """True if it must not see the studio's packages: it then has its own torch, and only the studio's own modules."""

    @property
    def lock(self) -> Path:
        """The lock file; where this machine's torch has no CUDA, the one for the CPU if there is one."""
        for_cpu = LOCKS / f"{self.name}-cpu.txt"
        return for_cpu if for_cpu.exists() and not _has_cuda() else LOCKS / f"{self.name}.txt"

    @property
    def pins(self) -> list[str]:
        """The packages of the lock file, `name==version`."""
        lines = self.lock.read_text("utf-8").splitlines() if self.lock.exists() else []
        return [line for line in lines if line and not line.startswith(("#", "-"))]

    @property
    def folder(self) -> Path:
        """Where it lies, made or not."""
        return root() / self.name

    @property
    def stamp(self) -> dict[str, Any]:
        """What an environment made now would be made from."""
        digest = hashlib.sha256("\n".join(self.pins).encode()).hexdigest() if self.pins else ""
        return {"lock": digest, "python": ".".join(platform.python_version_tuple()[:2]), "torch": _version("torch")}

    @property
    def command(self) -> str:
        """The command that makes it."""
        return f"studio exporters install {self.name}"


MIB = 1 << 20
ENVIRONMENTS: Mapping[str, Environment] = {
    item.name: item
    for item in (
        Environment("compress", "4-bit checkpoints for vLLM (llm-compressor)", ("llmcompressor",), 90 * MIB),
        Environment("coreml", "Core ML packages (coremltools)", ("coremltools",), 90 * MIB),
        Environment("lm-eval", "standard benchmarks (lm-evaluation-harness)", ("lm_eval",), 300 * MIB),
        Environment("litert", "LiteRT and LiteRT-LM files (litert-torch)", ("litert_torch",), 1200 * MIB),
        Environment("vllm", "serving with vLLM, and checking exports in it", ("vllm",), 1300 * MIB),
    )
}


@dataclass(frozen=True)
class Status:
    """How an environment stands. bytes: what it takes, or about would. command: what makes it ready; empty if it is."""

    name: str
    state: Literal["ready", "outdated", "missing"]
    gives: str
    bytes: int
    command: str
    folder: Path


def root() -> Path:
    """The folder of the environments that overlay this interpreter."""
    return Path(sys.prefix) / "exporters"


def environment(name: str) -> Environment:
    """The environment called `name`. Raises SpecError if there is none."""
    found = ENVIRONMENTS.get(name)
    if found is None:
        meant = nearest(name, ENVIRONMENTS)
        raise SpecError(
            f"there is no exporter `{name}`",
            hint=f"Did you mean `{meant}`?" if meant else f"Choose one of {', '.join(ENVIRONMENTS)}.",
            where="studio exporters",
        )
    return found


def status(name: str) -> Status:
    """How one environment stands; a look at one small file. Raises SpecError for a name that is not known."""
    item = environment(name)
    made: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        made = read_json(item.folder / STAMP)
    same = bool(made) and all(made.get(key) == value for key, value in item.stamp.items())
    state = "ready" if same else "outdated" if made else "missing"
    return Status(name, state, item.gives, made.get("bytes", item.bytes), "" if same else item.command, item.folder)


def statuses() -> list[Status]:
    """All environments."""
    return [status(name) for name in ENVIRONMENTS]


def ready(name: str) -> bool:
    """Whether the environment can be used."""
    return status(name).state == "ready"


def missing(name: str) -> str | None:
    """What is missing to use the environment, in a sentence with the command that makes it; None if it is ready."""
    now = status(name)
    if now.state == "ready":
        return None
    what = "is not installed" if now.state == "missing" else "was made for another version of the studio"
    return f"the exporter `{name}` {what}: {now.command}"


HERE = ("executorch", "onnx")
"""Exporters whose packages agree with the studio's own: they run in its interpreter, in a process of their own all the same,
which gives back their memory and threads and takes a crash with it."""


def python(name: str) -> Path:
    """The environment's interpreter. Raises ExportError with the command that makes it if it is not ready."""
    if name in HERE:
        return Path(sys.executable)
    lacking = missing(name)
    if lacking:
        raise ExportError(lacking.partition(":")[0], hint=f"Run `{status(name).command}`.", where=name)
    return interpreter(status(name).folder)


def interpreter(folder: Path) -> Path:
    """The interpreter of the environment in `folder`."""
    return folder / "bin" / "python" if sys.platform != "win32" else folder / "Scripts" / "python.exe"


def variables() -> dict[str, str]:
    """The variables work in an environment gets: ours without what leads imports elsewhere, and without keys.

    What runs there is other people's code on local folders; it has no use for an account.
    """
    astray = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {key: value for key, value in os.environ.items() if key not in astray and not key.upper().endswith(_SECRET)}


_SECRET = ("_API_KEY", "_ACCESS_KEY", "_TOKEN", "_SECRET", "_PASSWORD")


def _has_cuda() -> bool:
    from studio.hardware.machine import torch_has_cuda

    return torch_has_cuda()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
