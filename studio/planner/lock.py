"""lock.json: what makes a run repeatable, and what is different now."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import DataError
from studio.core.files import sha256, studio_home
from studio.core.plain import is_object
from studio.data.collected import CollectedRows
from studio.data.curation import store
from studio.data.made_rows import MadeRows
from studio.hardware import machine as machines
from studio.hardware.machine import Machine
from studio.runs.records import LockedDevice, LockedModel, RunLock
from studio.spec import RunSpec, fingerprint

if TYPE_CHECKING:
    from studio.models.loading import FoundModel

PACKAGES = (
    "torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate", "datasets", "tokenizers", "safetensors", "numpy",
    "gguf", "cyllama", "slm-studio",
)  # fmt: skip
"""Packages whose version can change a result."""
SMALL_FILES = ("config.json", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
"""Files of a local model that are hashed; weights are told apart by size and by their index."""


def lock(
    spec: RunSpec,
    model: Any,
    machine: Machine,
    home: Path | None = None,
    start: Path | None = None,
    day: date | None = None,
) -> RunLock:
    """What makes the run repeatable: its fingerprint, data hashes, model, versions, device and seed.

    Data on the hub is named, not hashed; a dataset version of the library in `home` has its content's hash.

    found is the base model as `studio.models.loading.find` gives it; its `folder` and
    `revision` are used where it has them. start: the folder of the adapter that is trained further. day: what a chat
    template writes that writes the date.
    """
    return RunLock(
        fingerprint=fingerprint(spec),
        seed=spec.training.seed,
        day=day or date.today(),
        data={name: data_hash(name, home) for name in _files(spec)},
        made=made_rows(spec, home),
        collected=collected_rows(spec, home),
        model=_model(spec, model),
        start=sha256(start / "adapter_model.safetensors") if start else None,
        packages=versions(),
        python=platform.python_version(),
        device=_device(machine),
        git=_git(),
    )


def made_rows(spec: RunSpec, home: Path | None = None) -> dict[str, MadeRows]:
    """Of the datasets that a spec names: where the rows come from that a model wrote."""
    return {name: record.made for name, record in _records(spec, home) if record.made}


def collected_rows(spec: RunSpec, home: Path | None = None) -> dict[str, CollectedRows]:
    """Of the datasets that a spec names: where the rows come from that people made of a model's answers."""
    return {name: record.collected for name, record in _records(spec, home) if record.collected}


def _records(spec: RunSpec, home: Path | None) -> list[tuple[str, store.VersionRecord]]:
    names = [name for name in _files(spec) if store.is_reference(name)]
    return [(name, store.named(studio_home(home), name).record) for name in names]


def made_in(file: Path) -> tuple[MadeRows, ...]:
    """Where the rows of a run come from that a model wrote. file: its lock."""
    return tuple(RunLock.read(file).made.values()) if file.exists() else ()


def collected_in(file: Path) -> tuple[CollectedRows, ...]:
    """Where the rows of a run come from that people made of a model's answers. file: its lock."""
    return tuple(RunLock.read(file).collected.values()) if file.exists() else ()


def versions() -> dict[str, str]:
    """Installed versions of the packages that can change a result."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def differences(before: RunLock, now: RunLock) -> list[str]:
    """What differs between two locks, a sentence each; empty if a run under both would be the same."""
    changes: list[str] = []
    if before.fingerprint != now.fingerprint:
        changes.append("the settings are not the same")
    if before.seed != now.seed:
        changes.append(f"the seed was {before.seed} and is {now.seed}")
    changes += _data_differences(before.data, now.data)
    changes += _changed("the model's", before.model.model_dump(), now.model.model_dump())
    changes += _changed("", before.packages, now.packages)
    if before.python != now.python:
        changes.append(f"Python was {before.python} and is {now.python}")
    changes += _changed("the device's", before.device.model_dump(), now.device.model_dump())
    return changes


def data_hash(name: str, home: Path | None = None) -> str:
    """The hash of a file, a folder or a dataset version; empty if it is not there."""
    if store.is_reference(name):
        try:
            return store.named(studio_home(home), name).sha256
        except DataError:
            return ""
    path = Path(name).expanduser()
    return sha256(path) if path.exists() else ""


def changes_since(before: RunLock, home: Path | None = None) -> list[str]:
    """What differs on this machine now from when `before` was locked: data, model files, versions, device.

    Settings and seed are not compared: they are in the spec that is repeated.
    """
    folder = Path(before.model.folder or "")
    model = before.model
    if model.files and folder.is_dir():
        model = model.model_copy(update={"files": _hashes(folder)})
    now = before.model_copy(
        update={
            "data": {name: data_hash(name, home) for name in before.data},
            "packages": {name: version for name, version in versions().items() if name in before.packages},
            "python": platform.python_version(),
            "device": _device(machines.probe()),
            "model": model,
        }
    )
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


def _device(machine: Machine) -> LockedDevice:
    gpu = machine.gpu
    return LockedDevice(
        kind=machine.device,
        name=machine.name,
        driver=gpu.driver if gpu else "",
        capability=gpu.capability if gpu else (),
        cores=machine.cores,
    )


def _model(spec: RunSpec, model: FoundModel) -> LockedModel:
    folder = getattr(model, "folder", None)
    there = Path(folder) if folder and Path(folder).is_dir() else None
    return LockedModel(
        name=spec.model.name,
        revision=getattr(model, "revision", None) or spec.model.revision,
        folder=str(there) if there else None,
        files=_hashes(there) if there else {},
    )


def _hashes(folder: Path) -> dict[str, str]:
    """Hashes of the small files of a model folder, and name and size of its weights."""
    small = {name: sha256(folder / name) for name in SMALL_FILES if (folder / name).exists()}
    weights = {file.name: f"{file.stat().st_size} bytes" for file in sorted(folder.glob("*.safetensors"))}
    return {**small, **weights}


def _git() -> str | None:
    """The commit of the present folder, with a mark if it has changes; None outside a repository."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None if described.returncode == 0 else None


def _data_differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    changes: list[str] = []
    for name, digest in before.items():
        if name not in now:
            changes.append(f"{name} is no longer read")
        elif not now[name]:
            changes.append(f"{name} is not there any more")
        elif now[name] != digest:
            changes.append(f"{name} has other content")
    return changes + [f"{name} is new" for name in now if name not in before]


def _changed(whose: str, before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    changes: list[str] = []
    for key in dict.fromkeys([*before, *now]):
        was, today = before.get(key), now.get(key)
        if is_object(was) and is_object(today):
            changes += _changed(whose, was, today)
        elif was != today:
            changes.append(" ".join(f"{whose} {key} was {_shown(was)} and is {_shown(today)}".split()))
    return changes


def _shown(value: object) -> str:
    if value in (None, "", []):
        return "absent"
    text = str(value)
    return f"{text[:12]}…" if len(text) == 64 else text
