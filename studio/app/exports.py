"""Use case of exporting: merge, convert, verify; and which kinds of export there are."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from studio import spec as specs
from studio.core.errors import ExportError, JobError, SpecError
from studio.core.section import Alternatives, Leaf, Section, leaves
from studio.export.artifacts.manifest import MANIFEST
from studio.export.artifacts.push import RECORD

COPYING = ".copying"
"""Where the files of a copy lie until all are there."""


def kinds() -> dict[str, type[Section]]:
    """Every kind of export with its settings, as the union of targets lists them."""
    return next(item for item in specs.fields() if isinstance(item, Alternatives) and item.path == "export").sections


def summary(section: type[Section]) -> str:
    """A kind of export in a sentence."""
    return " ".join((section.__doc__ or "").split("\n\n")[0].split())


def settings(section: type[Section]) -> list[Leaf]:
    """The settings of a kind of export."""
    return [leaf for leaf in leaves(section) if isinstance(leaf, Leaf) and leaf.path != "kind"]


def target(kind: str, settings: Mapping[str, Any]) -> Any:
    """The target of a kind with these settings. Raises SpecError at `--to` or at the setting that is wrong."""
    try:
        return specs.parse({"data": {"train": "-"}, "export": [{"kind": kind, **settings}]}).export[0]
    except SpecError as problem:
        where = problem.where.removeprefix("export.0").removeprefix("export").lstrip(".")
        raise SpecError(problem.message, hint=problem.hint, where=where or "--to") from None


def refuse_if_missing(target: Any) -> None:
    """Raise ExportError with the command that helps if what the target needs is not installed: before an hour of merging."""
    missing = target.missing()
    if missing:
        said, _, how = missing.rpartition(": ")
        raise ExportError(said or missing, hint=f"Run {how}", where=target.kind)


def export(
    run: Any,
    asked: Mapping[str, Any],
    out: str | Path | None = None,
    deploy: bool = False,
    on_progress: Callable[[float, float, str], None] | None = None,
) -> dict[str, Any]:
    """Make one export of a finished run, verify it in its own runtime, and return its manifest.

    asked: kind and settings, e.g. {"kind": "gguf", "quant": "q8_0"}. deploy also writes what serves it on another machine.
    out copies the verified export there as well. on_progress: done, total, what.
    Raises SpecError for a wrong target, JobError for a run without an adapter, ExportError if it cannot be made.
    """
    destination = Path(out).expanduser() if out else None
    if destination:
        refuse_unless_free(destination)
    wanted = target(str(asked.get("kind", "")), {name: value for name, value in asked.items() if name != "kind"})
    if not (run.folder.adapter / "adapter_config.json").exists():
        raise JobError(f"this run has no adapter; it is {run.status.state}", hint="Export a run that is done.", where=run.id)
    refuse_if_missing(wanted)
    from studio import pipeline, worker
    from studio.runs.watcher import Watcher

    worker.set_environment()
    watcher = Watcher(run.folder, on_progress)
    artifact = pipeline.export_one(run.folder, pipeline.reopen(run.folder), wanted, watcher, deploy)
    manifest = artifact.as_json()
    if destination:
        copy(run.folder.exports / manifest["folder"], destination)
    return manifest


def refuse_unless_free(destination: Path) -> None:
    """Raise ExportError where no copy can be written: the place is a file or holds files, or no folder can be made there."""
    hint = "Choose a new folder with --out."
    if destination.is_file():
        raise ExportError("this is a file, not a folder", hint=hint, where=str(destination))
    try:
        if destination.exists() and {*os.listdir(destination)} - {COPYING}:
            raise ExportError("the folder is not empty", hint=hint, where=str(destination))
        nearest = next(place for place in (destination, *destination.absolute().parents) if os.path.lexists(place))
        with tempfile.TemporaryDirectory(dir=nearest):
            pass
    except OSError as problem:
        reason = problem.strerror or "it cannot be written"
        raise ExportError(f"no folder can be made there ({reason})", hint=hint, where=str(destination)) from None


def copy(made: Path, destination: Path) -> None:
    """Copy an export into a new or empty folder, whole or not at all, whatever interrupts it: the files lie in a hidden folder
    of it until all are there. Raises ExportError where nothing can be written; the export itself stays."""
    aside = destination / COPYING
    try:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(made, aside, ignore=shutil.ignore_patterns(RECORD, ".*"))
        for item in sorted(aside.iterdir(), key=lambda item: item.name == MANIFEST):
            os.replace(item, destination / item.name)
        aside.rmdir()
    except OSError as problem:
        shutil.rmtree(aside, ignore_errors=True)
        reason = problem.strerror or "not every file could be written"
        raise ExportError(
            f"the export cannot be copied there ({reason}); it lies in {made}",
            hint="Choose another folder with --out, or copy it yourself.",
            where=str(destination),
        ) from None
