"""Make one export: reckon, write aside, verify in its own runtime, describe, and only then give it its name.

Nothing half-written is left, whatever fails. A failed verification leaves its report as `<folder>.failed/artifact.json`
and no artefact; an earlier good export of that name stays.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studio.core.errors import ExportError, HardwareError, Stopped
from studio.core.files import folder_aside, write_text
from studio.export import resources as room
from studio.export.artifacts import manifest as artifacts
from studio.export.artifacts.card import card
from studio.export.artifacts.manifest import Artifact, Verification
from studio.export.artifacts.push import RECORD
from studio.export.merging.merged_folder import WORK
from studio.export.merging.source import Probe, Source
from studio.export.targets import AnyTarget
from studio.export.verification.context import context
from studio.tracking.reporter import Reporter

__all__ = ["Probe", "Source", "export"]

_TOOLS = (
    "torch", "transformers", "peft", "bitsandbytes", "safetensors", "tokenizers", "gguf", "cyllama", "executorch", "torchao",
    "onnxruntime", "onnxruntime-genai", "slm-studio",
)  # fmt: skip


def export(target: AnyTarget, source: Source, probe: Probe, reporter: Reporter) -> Artifact:
    """Make the export `target` of a finished run and verify it. One that is there, whole and verified is left alone.

    Raises HardwareError if disk or memory do not suffice, ExportError if it cannot be made or does not answer as base +
    adapter, Stopped if the run was asked to stop.
    """
    folder = source.exports / target.folder(source)
    key = source.key(_settings(target, source))
    there = finished(folder, key)
    if there:
        return there
    room.check(target.estimate(source), source.exports, f"the export {folder.name}")
    sweep(folder)
    with _told(folder.name), folder_aside(folder) as aside:
        (aside / WORK).mkdir()
        write_text(aside / WORK / "pid", str(os.getpid()))
        details = target.write(source, aside, reporter)
        _stop_if_asked(reporter)
        room.free()
        verification = target.verify(source, aside, probe, reporter)
        shutil.rmtree(aside / WORK, ignore_errors=True)
        made = _described(target, source, key, aside, details, verification)
        if verification.passed is False:
            _keep_report(made, folder)
        write_text(aside / "README.md", card(source, made))
        made = replace(made, files=artifacts.files_in(aside))
        artifacts.write(made, aside)
        if (folder / RECORD).exists():  # where it was pushed stays known when it is made again
            shutil.copy2(folder / RECORD, aside)
        _stop_if_asked(reporter)
    shutil.rmtree(failed_folder(folder), ignore_errors=True)
    return replace(made, at=folder)


def finished(folder: Path, key: str) -> Artifact | None:
    """The export in `folder` if it is whole, made from the same things, and passed all that can be checked here."""
    if not (folder / artifacts.MANIFEST).exists():
        return None
    there = artifacts.read(folder)
    return there if there.key == key and there.verification.holds and there.is_whole() else None


def sweep(folder: Path) -> None:
    """Remove what an export that was killed left beside `folder`: unfinished folders whose process is gone."""
    import psutil

    for left in folder.parent.glob(f".{folder.name}.*"):
        owner = left / WORK / "pid"
        with contextlib.suppress(OSError, ValueError):
            if owner.exists() and not psutil.pid_exists(int(owner.read_text("utf-8"))):
                shutil.rmtree(left)


def failed_folder(folder: Path) -> Path:
    """Where the report of a failed verification is kept."""
    return folder.with_name(f"{folder.name}.failed")


def _settings(target: AnyTarget, source: Source) -> dict[str, Any]:
    """The target's settings with what was left open decided."""
    values = target.model_dump(mode="json")
    if "onto" in values:
        values["onto"] = source.onto(values["onto"])
    if "context" in values:
        values["context"] = context(source, values["context"]).tokens
    if "dtype" in values:
        from studio.export.merging.merge import saved_dtype

        values["dtype"] = saved_dtype(source, values["dtype"])
    return values


def _described(
    target: AnyTarget, source: Source, key: str, folder: Path, details: dict[str, Any], verification: Verification
) -> Artifact:
    return Artifact(
        kind=target.kind,
        folder=target.folder(source),
        settings=_settings(target, source),
        key=key,
        sources=source.describe(),
        details=details,
        files=artifacts.files_in(folder),
        versions=_versions(),
        verification=verification,
        serve=[command.replace(f"{folder}/", "").replace(str(folder), ".") for command in target.serve(source, folder)],
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        at=folder,
    )


def _keep_report(made: Artifact, folder: Path) -> None:
    """Keep the report of a failed verification, without the artefact, and raise."""
    kept = failed_folder(folder)
    with folder_aside(kept) as aside:
        artifacts.write(made, aside)
    failed = [check for check in made.verification.checks if not check.passed]
    reasons = "; ".join(f"{check.name} is {check.value}, allowed {check.threshold}" for check in failed)
    fault = "does not answer as base + adapter" if made.verification.samples else "is not what it must be"
    raise ExportError(
        f"the export {folder.name} {fault}: {reasons}",
        hint="The report with answers side by side is kept there; the files are not. Try a finer quantisation or `merged`.",
        where=str(kept / artifacts.MANIFEST),
    )


def _versions() -> dict[str, str]:
    import platform

    found = {"python": platform.python_version()}
    for package in _TOOLS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _stop_if_asked(reporter: Reporter) -> None:
    if reporter.should_stop():
        raise Stopped


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Full disks and full memories as errors a person can act on."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise HardwareError(
            f"the disk ran full while {name} was written; nothing of it was left behind",
            hint="Free some disk (studio runs list shows what runs take), or choose another folder with --home.",
        ) from problem
    except (MemoryError, RuntimeError) as problem:
        if isinstance(problem, RuntimeError) and "out of memory" not in str(problem).lower():
            raise
        raise HardwareError(
            f"memory ran out while {name} was made; nothing of it was left behind",
            hint="Close other programs, or export on a machine with more memory: the run folder can be copied there.",
        ) from problem
