"""Make one export: check resources, write aside, verify in its own runtime, describe, and only then give it its name.

Nothing half-written is left, whatever fails. A failed verification leaves its report as `<folder>.failed/artifact.json`
and no artifact; an earlier good export of that name stays.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from studio.core.errors import ExportError, HardwareError, Stopped, StudioError
from studio.core.files import bytes_in, folder_aside, sha256, write_text
from studio.core.machine_errors import Fault, machine_fault
from studio.core.text import size
from studio.export import resources
from studio.export.artifacts import deploy, manifest
from studio.export.artifacts.card import card
from studio.export.artifacts.manifest import Artifact
from studio.export.artifacts.push import RECORD
from studio.export.leftovers import lock_of, sweep, sweep_abandoned
from studio.export.merging.source import Source
from studio.export.targets import AnyTarget
from studio.export.targets.base import Target
from studio.export.targets.merged_model import WORK
from studio.export.verification.probe import Probe
from studio.export.verification.result import Verification
from studio.models.loading import free_memory
from studio.processes import locks
from studio.tracking.reporter import Reporter
from studio.tracking.secrets import redact

__all__ = ["Probe", "Source", "export"]

_TOOLS = (
    "torch", "transformers", "peft", "bitsandbytes", "safetensors", "tokenizers", "gguf", "cyllama", "executorch", "torchao",
    "onnxruntime", "onnxruntime-genai", "slm-studio",
)  # fmt: skip


def export(target: AnyTarget, source: Source, probe: Probe, reporter: Reporter) -> Artifact:
    """Make the export `target` of a finished run and verify it. One that is there, whole and verified is left alone, unless the
    run was evaluated again since and other answers are its evidence now.

    Raises HardwareError if disk space or memory do not suffice, ExportError if it cannot be made or does not answer as base +
    adapter, Stopped if the run was asked to stop.
    """
    target.refuse(source.base.config)
    folder = source.exports / target.folder(source)
    key = source.key(target.resolved(source))
    with _alone(folder, reporter):
        sweep(folder)  # first: it may put an export back, and what it removes is disk space
        sweep_abandoned(source.exports)
        finished = finished_export(folder, key)
        if finished and probe.agrees_with(finished.verification):
            return finished
        resources.require(target.estimate(source), source.exports, f"the export {folder.name}")
        with _translated(folder.name), folder_aside(folder) as aside:
            (aside / WORK).mkdir()
            details = target.write(source, aside, reporter)
            _stop_if_asked(reporter)
            free_memory()
            verification = target.verify(source, aside, probe, reporter)
            shutil.rmtree(aside / WORK, ignore_errors=True)
            if verification.passed is False or verification.loses_some:
                verification = replace(verification, advice=advice(target, source))
            artifact = _described(target, source, key, aside, details, verification)
            if verification.passed is False:
                _keep_report(artifact, folder)
            write_text(aside / "README.md", card(source, artifact))
            artifact = artifact.with_values(files=manifest.files_in(aside))
            manifest.write(artifact, aside)
            if (folder / RECORD).exists():  # where it was pushed stays known when it is made again
                shutil.copy2(folder / RECORD, aside)
            _stop_if_asked(reporter)
        shutil.rmtree(failed_folder(folder), ignore_errors=True)
    return artifact.with_values(path=folder)


def written_again(source: Source, artifact: Artifact) -> Artifact:
    """An export whose card and manifest are written again, after more was found out about it."""
    shown = write_text(artifact.path / "README.md", card(source, artifact))
    known = manifest.File(path=shown.name, bytes=bytes_in(shown), sha256=sha256(shown))
    artifact = artifact.with_values(files=[known if file.path == shown.name else file for file in artifact.files])
    manifest.write(artifact, artifact.path)
    return deploy.write(source, artifact) if any(file.path == deploy.SUMS for file in artifact.files) else artifact


def advice(target: Target, source: Source) -> str:
    """The better choice for an export that loses something: the next finer quantization, with its size and, where this run
    has it already, what it was found to lose."""
    finer = target.finer()
    if finer is None:
        return "Export `merged`, which is not quantized."
    name = getattr(finer, "quant", finer.folder(source))
    there = finished_export(source.exports / finer.folder(source), source.key(finer.resolved(source)))
    if there is None:
        return f"Try {name}: about {size(finer.size(source.dims))}, and nearer to base + adapter."
    if there.verification.loses_some:
        return f"{name} is {size(there.bytes)} and also loses some; `merged` is not quantized."
    return f"Better: {name}, which this run has already, is {size(there.bytes)} and shows no clear loss."


def finished_export(folder: Path, key: str) -> Artifact | None:
    """The export in `folder` if it is whole, made from the same things, and passed all that can be checked here."""
    if not (folder / manifest.MANIFEST).exists():
        return None
    with contextlib.suppress(StudioError):  # a manifest that cannot be read is replaced
        artifact = manifest.read(folder)
        return artifact if artifact.key == key and artifact.verification.holds and artifact.is_whole() else None
    return None


@contextlib.contextmanager
def _alone(folder: Path, reporter: Reporter) -> Iterator[None]:
    """Wait until nobody else makes the export `folder`. Raises Stopped if the run is asked to stop meanwhile."""
    try:
        with locks.hold(lock_of(folder), lambda holder: reporter.should_stop(), remove=True):
            yield
    except locks.LockHeld:
        raise Stopped from None


def failed_folder(folder: Path) -> Path:
    """Where the report of a failed verification is kept."""
    return folder.with_name(f"{folder.name}.failed")


def _described(
    target: AnyTarget, source: Source, key: str, folder: Path, details: dict[str, Any], verification: Verification
) -> Artifact:
    return Artifact(
        kind=target.kind,
        folder=target.folder(source),
        settings=target.resolved(source),
        key=key,
        sources=source.describe(),
        details={**details, **({"system": source.system} if redact(source.system) == source.system != "" else {})},
        files=manifest.files_in(folder),
        versions=_versions(),
        verification=verification,
        serve=[command.replace(f"{folder}/", "").replace(str(folder), ".") for command in target.serve(source, folder)],
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        path=folder,
    )


def _keep_report(artifact: Artifact, folder: Path) -> None:
    """Keep the report of a failed verification, without the files, and raise."""
    report_folder = failed_folder(folder)
    with folder_aside(report_folder) as aside:
        manifest.write(artifact, aside)
    found = artifact.verification
    reasons = "; ".join(
        f"{check.name} is {check.value}, allowed {check.threshold}" for check in found.checks if not check.passed
    )
    fault = "does not answer as base + adapter" if found.samples else "is not what it must be"
    raise ExportError(
        f"the export {folder.name} {fault}: {reasons}",
        hint=f"The report with answers side by side is kept; the files are not. {found.advice}",
        where=str(report_folder / manifest.MANIFEST),
    )


def _versions() -> dict[str, str]:
    import platform

    versions = {"python": platform.python_version()}
    for package in _TOOLS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _stop_if_asked(reporter: Reporter) -> None:
    if reporter.should_stop():
        raise Stopped


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    """Full disks and full memories as errors a person can act on."""
    try:
        yield
    except Exception as problem:  # libraries written in Rust raise errors of no class of the system's
        fault = machine_fault(problem)
        if fault is Fault.DISK_FULL:
            raise HardwareError(
                f"the disk ran full while {name} was written; nothing of it was left behind",
                hint="Free some disk space (studio runs list shows what runs take), or choose another folder with --home.",
            ) from problem
        if fault is None or not fault.is_memory:
            raise
        raise HardwareError(
            f"memory ran out while {name} was made; nothing of it was left behind",
            hint="Close other programs, or export on a machine with more memory: the run folder can be copied there.",
        ) from problem
