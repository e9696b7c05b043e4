"""Use case of pushing: which export is meant, what would go up, and the upload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from studio.app import runs
from studio.core.errors import JobError
from studio.core.files import read_json
from studio.core.text import nearest
from studio.export.artifacts import push
from studio.export.artifacts.manifest import MANIFEST
from studio.export.artifacts.push import Upload


def prepare_upload(
    what: str, repository: str, public: bool = False, target: str | None = None, home: str | Path | None = None
) -> Upload:
    """What pushing a run's export, or an export's folder, would upload. Raises JobError for what cannot go up."""
    return push.prepare_upload(export_folder(what, target, home), repository, public)


def send(upload: Upload, tell: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Upload it; the record. Raises JobError, ExportError."""
    return push.send(upload, tell)


def export_folder(what: str, target: str | None = None, home: str | Path | None = None) -> Path:
    """The folder of the export that is meant: of that path, or the run's only one, or its one of that kind or folder name."""
    path = Path(what).expanduser()
    if (path / MANIFEST).exists():
        return path.absolute()
    run = runs.find(what, home)
    there = {file.parent.name: str(read_json(file)["kind"]) for file in sorted(run.folder.exports.glob(f"*/{MANIFEST}"))}
    made = [name for name in there if not name.endswith(".failed")]
    if not made:
        raise JobError("this run has no export", hint=f"Make one: studio export {run.id} --to merged", where=run.id)
    meant = [name for name in made if target in (None, name)] or [name for name in made if there[name] == target]
    if not meant:
        near = nearest(target or "", [*made, *there.values()])
        hint = f"Did you mean `{near}`? " if near else ""
        raise JobError(
            f"this run has no export `{target}`", hint=f"{hint}It has {', '.join(made)}.", where=f"{run.id}: --target"
        )
    if len(meant) > 1:
        raise JobError("this run has several exports", hint=f"Say which: --target {' | '.join(meant)}", where=run.id)
    return run.folder.exports / meant[0]
