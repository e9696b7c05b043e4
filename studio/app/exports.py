"""Use case of exporting: merge, convert, verify."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from studio.core.errors import ExportError, JobError
from studio.spec import parse


def export(run: Any, target: dict[str, Any], out: str | Path | None = None) -> dict[str, Any]:
    """Make one export of a finished run, verify it in its own runtime, and return its manifest.

    target: kind and settings, e.g. {"kind": "gguf", "quant": "q8_0"}. out copies the verified export there as well.
    Raises SpecError for a wrong target, JobError for a run without an adapter, ExportError if it cannot be made.
    """
    asked = parse({"data": {"train": "-"}, "export": [target]}, "export").export[0]
    if not (run.folder.adapter / "adapter_config.json").exists():
        raise JobError(f"this run has no adapter; it is {run.status.state}", hint="Export a run that is done.", where=run.id)
    destination = Path(out).expanduser() if out else None
    if destination and destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise ExportError("the folder is not empty", hint="Choose a new folder with --out.", where=str(destination))
    from studio import pipeline, worker
    from studio.runs.watcher import Watcher

    worker.set_environment()
    artifact = pipeline.export_one(run.folder, pipeline.reopen(run.folder), asked, Watcher(run.folder))
    manifest = artifact.as_dict()
    if destination:
        shutil.copytree(run.folder.exports / manifest["folder"], destination, dirs_exist_ok=True)
    return manifest
