"""The studio's own command as a process that outlives the page, or the server, that began it.

Beside its note `<kind>-<name>.json` lie its output and its error output. The note of a process that has ended says how.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from studio.core.errors import JobError, StudioError
from studio.core.files import make_home
from studio.core.records import Record, RecordError
from studio.core.text import shorten
from studio.processes import command, locks, spawn, terminate
from studio.processes.identity import ProcessId, process_of

State = Literal["running", "done", "failed"]


@dataclass(frozen=True)
class Task:
    """A command that was begun from a page. kind: its verb."""

    kind: str
    name: str
    state: State
    begun: float
    progress: str = ""
    """The last line it printed: how far it is."""
    error: StudioError | None = None


class TaskNote(Record):
    """The note of a task. One that is damaged is as if the task had never been begun."""

    label: ClassVar[str] = "note of a task"
    remedy: ClassVar[str] = "Delete it, and begin the task again."

    kind: str
    name: str
    begun: float
    """Seconds since 1970."""
    process: Annotated[ProcessId | None, BeforeValidator(process_of)] = None


def begin(folder: Path, kind: str, name: str, arguments: list[str], home: Path) -> Task:
    """Begin `studio ARGUMENTS --json`; returns at once. Raises JobError if it is already running."""
    note = folder / f"{kind}-{name}.json"
    make_home(home)
    folder.mkdir(parents=True, exist_ok=True)
    with locks.hold(folder / ".lock", locks.within(30)):  # two clicks come from two threads
        before = _task(note)
        if before is not None and before.state == "running":
            raise JobError(f"this {kind} is already running", hint="Wait for it to end.", where=name)
        process = spawn.detached(
            spawn.python("studio", *arguments, "--json"),
            note.with_suffix(".out"),
            errors=note.with_suffix(".err"),
            environment={**command.environment(home), "PYTHONUNBUFFERED": "1"},
        )
        written = TaskNote(kind=kind, name=name, begun=time.time(), process=process)
        written.write(note)
        return _read(note, written)


def task(folder: Path, kind: str, name: str) -> Task | None:
    """The task of that kind and name, if one was begun."""
    return _task(folder / f"{kind}-{name}.json")


def document(folder: Path, kind: str, name: str) -> Any:
    """What a task that is done has printed."""
    return json.loads(_text(folder / f"{kind}-{name}.out"))


def stop(folder: Path, kind: str, name: str, patience: float = 3.0) -> None:
    """End a running task, and forget it: it may be begun again."""
    note = folder / f"{kind}-{name}.json"
    with contextlib.suppress(FileNotFoundError):
        with contextlib.suppress(RecordError):
            if process := TaskNote.read(note).process:
                terminate.end(process, patience)
        note.unlink()


def tasks(folder: Path) -> list[Task]:
    """What was begun there, newest first."""
    found = [task for file in folder.glob("*-*.json") if (task := _task(file)) is not None]
    return sorted(found, key=lambda item: item.begun, reverse=True)


def _task(note: Path) -> Task | None:
    with contextlib.suppress(FileNotFoundError, RecordError):
        return _read(note, TaskNote.read(note))
    return None


def _read(note: Path, values: TaskNote) -> Task:
    kind, name, begun = values.kind, values.name, values.begun
    out, errors = _text(note.with_suffix(".out")), _text(note.with_suffix(".err"))
    if values.process is not None and values.process.alive():
        said = last_line(errors)  # a refusal is printed before the process is gone: it is no progress
        return Task(kind, name, "running", begun, "" if out or said.startswith("→ ") else said)
    try:
        document = json.loads(out)
    except ValueError:
        document = None
    if document is None or command.is_refusal(document):
        return Task(kind, name, "failed", begun, error=command.error_of(out, errors, 1, kind))
    return Task(kind, name, "done", begun)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def last_line(text: str) -> str:
    """The last line printed; a progress bar prints the same line again and again after carriage returns."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip()]
    return shorten(lines[-1], 120) if lines else ""
