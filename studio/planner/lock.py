"""lock.json: what makes a run repeatable, and what is different now."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

from studio.core.errors import DataError
from studio.core.files import read_json, sha256, studio_home
from studio.data.curation import store
from studio.hardware import machine as machines
from studio.hardware.machine import Machine
from studio.spec import RunSpec, fingerprint

PACKAGES = (
    "torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate", "datasets", "tokenizers", "safetensors", "numpy",
    "gguf", "cyllama", "slm-studio",
)  # fmt: skip
"""Packages whose version can change a result."""
SMALL_FILES = ("config.json", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
"""Files of a local model that are hashed; weights are told apart by size and by their index."""


def lock(
    spec: RunSpec,
    found: Any,
    machine: Machine,
    home: Path | None = None,
    start: Path | None = None,
    day: date | None = None,
) -> dict[str, Any]:
    """What makes the run repeatable: its fingerprint, data hashes, model, versions, device and seed.

    Data on the hub is named, not hashed; a dataset version of the library in `home` has its content's hash.

    found is the base model as `studio.models.loading.find` gives it; its `folder` and
    `revision` are used where it has them. start: the folder of the adapter that is trained further. day: what a chat
    template writes that writes the date.
    """
    return {
        "fingerprint": fingerprint(spec),
        "seed": spec.training.seed,
        "day": (day or date.today()).isoformat(),
        "data": {name: data_hash(name, home) for name in _files(spec)},
        "model": _model(spec, found),
        **({"start": sha256(start / "adapter_model.safetensors")} if start else {}),
        "packages": versions(),
        "python": platform.python_version(),
        "device": {
            "kind": machine.device,
            "name": machine.name,
            "driver": machine.gpu.driver if machine.gpu else "",
            "capability": list(machine.gpu.capability) if machine.gpu else [],
            "cores": machine.cores,
        },
        "git": _git(),
    }


def day_of(file: Path) -> date:
    """The day that a run's chat template writes: the one on which it was planned, today before that. file: its lock."""
    locked = read_json(file).get("day") if file.exists() else None
    return date.fromisoformat(locked) if locked else date.today()


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a result."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What differs between two locks, a sentence each; empty if a run under both would be the same."""
    told = []
    if before.get("fingerprint") != now.get("fingerprint"):
        told.append("the settings are not the same")
    if before.get("seed") != now.get("seed"):
        told.append(f"the seed was {before.get('seed')} and is {now.get('seed')}")
    told += _data_differences(before.get("data", {}), now.get("data", {}))
    told += _changed("the model's", before.get("model", {}), now.get("model", {}))
    told += _changed("", before.get("packages", {}), now.get("packages", {}))
    if before.get("python") != now.get("python"):
        told.append(f"Python was {before.get('python')} and is {now.get('python')}")
    told += _changed("the device's", before.get("device", {}), now.get("device", {}))
    return told


def data_hash(name: str, home: Path | None = None) -> str:
    """The hash of a file, a folder or a dataset version; empty if it is not there."""
    if store.is_reference(name):
        try:
            return store.named(studio_home(home), name).sha256
        except DataError:
            return ""
    path = Path(name).expanduser()
    return sha256(path) if path.exists() else ""


def changes_since(before: dict[str, Any], home: Path | None = None) -> list[str]:
    """What differs on this machine now from when `before` was locked: data, model files, versions, device.

    Settings and seed are not compared: they are in the spec that is repeated.
    """
    machine = machines.probe()
    now = {
        **before,
        "data": {name: data_hash(name, home) for name in before.get("data", {})},
        "packages": {name: version for name, version in versions().items() if name in before.get("packages", {})},
        "python": platform.python_version(),
        "device": {
            "kind": machine.device,
            "name": machine.name,
            "driver": machine.gpu.driver if machine.gpu else "",
            "capability": list(machine.gpu.capability) if machine.gpu else [],
            "cores": machine.cores,
        },
    }
    folder = Path(before.get("model", {}).get("folder") or "")
    if before.get("model", {}).get("files") and folder.is_dir():
        now["model"] = {**before["model"], "files": _hashes(folder)}
    return differences(before, now)


def _files(spec: RunSpec) -> list[str]:
    """The local files and dataset versions a run reads."""
    names = [*spec.data.files, *([spec.data.holdout] if isinstance(spec.data.holdout, str) else []), *spec.evaluation.also]
    if spec.evaluation.general not in ("builtin", "off"):
        names.append(spec.evaluation.general)
    if spec.model.chat_template:
        names.append(spec.model.chat_template)
    return [
        name for name in names if store.is_reference(name) or (not name.startswith("hub:") and Path(name).expanduser().exists())
    ]


def _model(spec: RunSpec, found: Any) -> dict[str, Any]:
    folder = getattr(found, "folder", None)
    there = Path(folder) if folder and Path(folder).is_dir() else None
    return {
        "name": spec.model.name,
        "revision": getattr(found, "revision", None) or spec.model.revision,
        "folder": str(there) if there else None,
        "files": _hashes(there) if there else {},
    }


def _hashes(folder: Path) -> dict[str, str]:
    """Hashes of the small files of a model folder, and name and size of its weights."""
    small = {name: sha256(folder / name) for name in SMALL_FILES if (folder / name).exists()}
    weights = {file.name: f"{file.stat().st_size} bytes" for file in sorted(folder.glob("*.safetensors"))}
    return {**small, **weights}


def _git() -> str | None:
    """The commit of the present folder, with a mark if it has changes; None outside a repository."""
    try:
        made = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return made.stdout.strip() or None if made.returncode == 0 else None


def _data_differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    told = []
    for name, digest in before.items():
        if name not in now:
            told.append(f"{name} is no longer read")
        elif not now[name]:
            told.append(f"{name} is not there any more")
        elif now[name] != digest:
            told.append(f"{name} has other content")
    return told + [f"{name} is new" for name in now if name not in before]


def _changed(whose: str, before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    told = []
    for key in dict.fromkeys([*before, *now]):
        was, today = before.get(key), now.get(key)
        if isinstance(was, dict) and isinstance(today, dict):
            told += _changed(whose, was, today)
        elif was != today:
            told.append(" ".join(f"{whose} {key} was {_shown(was)} and is {_shown(today)}".split()))
    return told


def _shown(value: Any) -> str:
    if value in (None, "", []):
        return "absent"
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
