"""Use cases of the overview: the rows of the runs table, the first-run path, and what takes disk. Cheap to ask often."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.app import library, queue, runs
from studio.app.runs import Run
from studio.core.files import bytes_in, read_json

if TYPE_CHECKING:
    from studio.hardware.doctor import Finding
    from studio.hardware.machine import Machine

_kept: dict[Path, tuple[Any, dict[str, Any]]] = {}
_lock = threading.Lock()


def rows(home: Path) -> list[dict[str, Any]]:
    """One row a run, newest first, as `Run.summary` gives it, with `active`, `position`, `who`, `note` and `tags`.

    A run whose files have not changed is not read again. A damaged run has its error in its row.
    """
    waiting = {item.run: item for item in queue.order(home)}
    found = []
    for run in runs.list_runs(home):
        row = dict(_row(run))
        place = waiting.get(run.id)
        row.update(position=place.position if place else None, who=(place.who if place else "") or row.get("who", ""))
        found.append(row)
    return found


def _row(run: Run) -> dict[str, Any]:
    folder = run.folder
    marks = tuple(
        _mark(file)
        for file in (folder.status, folder.spec_file, folder.metrics, folder.report, folder.exports, run.folder.notes)
    )
    state = run.status.state
    with _lock:
        kept = _kept.get(folder.path)
    if kept and kept[0] == (marks, state):
        row = kept[1]
        if run.status.active and row["started"]:
            row = {**row, "seconds": time.time() - row["started"]}
        return row
    status = run.status
    row = {**run.summary(), "active": status.active, "started": status.started, "done": status.done, "total": status.total}
    row.update(notes(run))
    with _lock:
        _kept[folder.path] = ((marks, state), row)
    return row


def notes(run: Run) -> dict[str, Any]:
    """What a person wrote about a run after it was started: note and tags; at first those of its spec. Empty if damaged."""
    try:
        if run.folder.notes.exists():
            written = read_json(run.folder.notes)
            return {"note": str(written["note"]), "tags": [str(tag) for tag in written["tags"]]}
        tracking = run.spec.tracking
        return {"note": tracking.note, "tags": list(tracking.tags)}
    except runs.DAMAGED:
        return {"note": "", "tags": []}


def write_notes(run: Run, note: str, tags: list[str]) -> None:
    """Keep a person's note and tags beside the run; its spec stays as it is."""
    from studio.core.files import write_json

    kept = sorted({" ".join(tag.split())[:40] for tag in tags if tag.strip()})
    write_json(run.folder.notes, {"note": note.strip()[:2000], "tags": kept[:20]})


def _mark(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
        return found.st_mtime_ns, found.st_size
    except OSError:
        return 0, 0


@dataclass(frozen=True)
class Step:
    """One of the four steps from data to a served model."""

    title: str
    text: str
    link: str
    label: str
    done: bool


def path(home: Path) -> list[Step]:
    """The four steps, with those that are done marked."""
    there = rows(home)
    finished = [row for row in there if row["state"] == "done"]
    newest = f"?id={finished[0]['id']}" if finished else ""
    return [
        Step(
            "Bring your data",
            "Upload a table or a chat log. It is checked row by row.",
            "/data",
            "Open Data",
            bool(library.versions(home)),
        ),
        Step("Plan and train", "See what fits this machine before anything starts.", "/train", "Open Train", bool(finished)),
        Step(
            "Read the evidence",
            "Base against tuned on rows that were never trained on.",
            f"/evidence{newest}",
            "Open Evidence",
            any(row["verdict"] for row in finished),
        ),
        Step(
            "Take it with you",
            "Export a verified model, and serve it.",
            f"/export{newest}",
            "Open Export",
            any(row["exports"] for row in finished),
        ),
    ]


def disk(home: Path) -> dict[str, int]:
    """Bytes by what they are for, and what is free."""
    there = next(item for item in (home, *home.parents) if item.exists())
    sizes = {name: bytes_in(home / name) if (home / name).exists() else 0 for name in ("datasets", "runs", "models")}
    return {**sizes, "free": shutil.disk_usage(there).free}


def problems(home: Path) -> list[Finding]:
    """What this machine can do with a home, each problem with its fix."""
    from studio.hardware import doctor

    return doctor.check(home)


def machine(home: Path) -> tuple[Machine, list[Finding]]:
    """What this machine is, and what was found wrong with it."""
    from studio.hardware import doctor
    from studio.hardware import machine as machines

    return machines.probe(folder=home), doctor.check()
