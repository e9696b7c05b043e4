"""The studio's own command as a process that outlives the page, or the server, that began it.

Beside its note `<kind>-<name>.json` lie its output and what it said. A note of a process that is gone tells how it ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.app.child import error_of
from studio.core.errors import JobError, StudioError
from studio.core.files import read_json, write_json
from studio.core.text import shorten
from studio.runs.status import Process


@dataclass(frozen=True)
class Work:
    """Something that was begun from a page. kind: the command's verb; state: running, done or failed."""

    kind: str
    name: str
    state: str
    begun: float
    said: str = ""
    """The last line it said: how far it is."""
    error: StudioError | None = None


def begin(folder: Path, kind: str, name: str, arguments: list[str], home: Path) -> Work:
    """Begin `studio ARGUMENTS --json`; returns at once. Raises JobError if it is being done already."""
    note = folder / f"{kind}-{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if note.exists() and _work(note).state == "running":
            raise JobError(f"this {kind} is being done already", hint="Wait for it.", where=name)
        return _begin(note, kind, name, arguments, home)


def _begin(note: Path, kind: str, name: str, arguments: list[str], home: Path) -> Work:
    with open(note.with_suffix(".out"), "wb") as out, open(note.with_suffix(".err"), "wb") as err:
        child = subprocess.Popen(
            [sys.executable, "-m", "studio", *arguments, "--json"], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True, env={**os.environ, "STUDIO_HOME": str(home), "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    process = Process.of(child.pid)
    values = {"kind": kind, "name": name, "begun": time.time(), "pid": process.pid, "born": process.born}
    write_json(note, values)
    return _work(note)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder for a look and what follows from it; two clicks come from two threads."""
    import fcntl

    with open(folder / ".lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def works(folder: Path) -> list[Work]:
    """What was begun there, newest first."""
    return sorted((_work(file) for file in folder.glob("*-*.json")), key=lambda item: item.begun, reverse=True)


def _work(note: Path) -> Work:
    kept = read_json(note)
    kind, name, begun = kept["kind"], kept["name"], kept["begun"]
    err = note.with_suffix(".err")
    told = err.read_text(encoding="utf-8", errors="replace") if err.exists() else ""
    if _alive(kept):
        return Work(kind, name, "running", begun, _last(told))
    try:
        json.loads(note.with_suffix(".out").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Work(kind, name, "failed", begun, error=error_of(told, 1, kind))
    return Work(kind, name, "done", begun)


def _last(told: str) -> str:
    """The last thing said; a progress bar says the same line again and again after carriage returns."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", told) if line.strip()]
    return shorten(lines[-1], 120) if lines else ""


def _alive(kept: dict[str, Any]) -> bool:
    process = Process(kept["pid"], kept["born"])
    if not process.alive():
        return False
    try:
        os.waitpid(kept["pid"], os.WNOHANG)  # a child of this very server leaves a zombie until it is asked
    except ChildProcessError:
        return True
    return process.alive()
