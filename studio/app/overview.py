"""Use cases of the overview: the rows of the runs table, the first-run path, and what takes disk. Cheap to ask often."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from studio.app import damage, keys, library, queue, run_summary, runs
from studio.app.run_summary import RunSummary
from studio.app.runs import Run
from studio.core.errors import DAMAGED
from studio.core.files import bytes_in
from studio.runs.records import Notes

if TYPE_CHECKING:
    from studio.hardware.doctor import Finding
    from studio.hardware.machine import Machine

_cache: dict[Path, tuple[object, RunSummary]] = {}
_lock = threading.Lock()


def rows(home: Path) -> list[RunSummary]:
    """One summary a run, newest first, with its position in the queue.

    A run whose files have not changed is not read again. A damaged run has its error in its summary.
    """
    waiting = {item.run: item for item in queue.order(home)}
    summaries: list[RunSummary] = []
    for run in runs.list_runs(home):
        summary = _summary(run)
        if queued := waiting.get(run.id):
            summary = replace(summary, position=queued.position, who=queued.who or summary.who)
        summaries.append(summary)
    return summaries


def _summary(run: Run) -> RunSummary:
    folder = run.folder
    files = (folder.status, folder.spec_file, folder.metrics, folder.report, folder.exports, folder.notes)
    marks = (*map(_mark, files), run.status.state)
    with _lock:
        known = _cache.get(folder.path)
    if known and known[0] == marks:
        summary = known[1]
        if summary.active and summary.started:
            return replace(summary, seconds=max(0.0, time.time() - summary.started))  # a clock may be set back
        return summary
    summary = run.summary()
    with _lock:
        _cache[folder.path] = (marks, summary)
    return summary


def notes(run: Run) -> Notes:
    """What a person wrote about a run after it was started: note and tags; at first those of its spec. Empty if damaged."""
    try:
        return run_summary.read_notes(run.folder)
    except DAMAGED:
        return Notes()


def write_notes(run: Run, note: str, tags: list[str]) -> None:
    """Write a person's note and tags beside the run; its spec stays as it is."""
    unique = sorted({" ".join(tag.split())[:40] for tag in tags if tag.strip()})
    Notes(note=note.strip()[:2000], tags=tuple(unique[:20])).write(run.folder.notes)


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
    finished = [row for row in there if row.state == "done"]
    newest = f"?id={finished[0].id}" if finished else ""
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
            any(row.verdict for row in finished),
        ),
        Step(
            "Take it with you",
            "Export a verified model, and serve it.",
            f"/export{newest}",
            "Open Export",
            any(row.exports for row in finished),
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

    return [*doctor.check(home, ask_torch=True), _wandb_key()]


def machine(home: Path) -> tuple[Machine, list[Finding]]:
    """What this machine is, and what was found wrong with it and with the home."""
    from studio.hardware import doctor
    from studio.hardware import machine as machines
    from studio.hardware.doctor import Finding

    damaged = [Finding("Damaged", False, item.sentence(home), item.hint) for item in damage.outside_runs(home)[:5]]
    return machines.probe(folder=home), [*damaged, *doctor.check(), _wandb_key()]


def _wandb_key() -> Finding:
    """Whether runs go to W&B: that its client is installed says nothing of it."""
    from studio.hardware.doctor import Finding

    source = keys.source("WANDB_API_KEY")
    if source:
        return Finding("W&B key", True, f"from the {source}: runs are mirrored online")
    return Finding("W&B key", None, "none: W&B's log of a run stays in its folder")
