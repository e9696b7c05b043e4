"""A run's state: a pure read of its files and of whether its process lives.

States: queued -> preparing -> training -> evaluating -> exporting -> done | failed | stopped | interrupted.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from studio.core import events
from studio.core.events import State
from studio.core.files import read_json
from studio.core.records import ErrorRecord, Record, RecordError
from studio.core.text import shorten
from studio.processes import locks
from studio.processes.identity import ProcessId, process_of
from studio.runs import queue
from studio.runs.folder import RunFolder
from studio.runs.records import Launch
from studio.tracking.secrets import redact

ACTIVE: tuple[State, ...] = ("queued", "preparing", "training", "evaluating", "exporting")
ENDED: tuple[State, ...] = ("done", "failed", "stopped", "interrupted")

GRACE = 30
"""Seconds between the making of a run's folder and its position in the queue or its launch."""
PATIENCE = 600
"""The same for a run whose maker lives: slow, or a web server that outlives what went wrong."""


class Status(Record):
    """What is known of a run now; `status.json`."""

    label: ClassVar[str] = "run status"
    remedy: ClassVar[str] = "Resume the run with `studio runs resume`, or remove it with `studio runs delete`."

    state: State
    done: float = 0
    total: float = 0
    what: str = ""
    """Progress of the present stage: `done` of `total`, in the unit `what`."""
    started: float | None = None
    ended: float | None = None
    process: Annotated[ProcessId | None, BeforeValidator(process_of)] = None
    process_started: float | None = None
    """When the present process began, as a time of day; `started` is the run's first beginning."""
    error: ErrorRecord | None = None
    """For failed and interrupted: what happened, what to do, where."""
    stages: dict[str, float] = Field(default_factory=dict)
    """Seconds each finished stage took."""

    @property
    def active(self) -> bool:
        """Whether the run is queued or being worked on."""
        return self.state in ACTIVE


def read(folder: RunFolder, is_held: Callable[[Path], bool] = locks.is_held) -> Status:
    """The state of a run. Changes nothing, and never fails: a damaged status is a failed run that says which file it is.

    A run lives while its worker does, or while somebody holds the run's lock (is_held). One that is gone without a word is
    `interrupted`. No time of day is compared, so a clock that is set changes nothing.
    """
    try:
        status = Status.read(folder.status)
    except FileNotFoundError:
        return _before_start(folder)
    except RecordError as problem:
        return _damaged(folder, problem)
    if not status.active or (status.process and status.process.alive()) or is_held(folder.launch):
        return status
    if status.process is None and queue.waits(folder.path.parent.parent, folder.id):
        return status  # who was about to launch it was killed; it still waits its turn
    with contextlib.suppress(FileNotFoundError, RecordError):
        now = Status.read(folder.status)  # it may have ended well between the two looks
        if now.state in ENDED or now.process != status.process:
            return read(folder, is_held)
    return status.model_copy(update={"state": "interrupted", "error": _cause(folder, status)})


def at_work(folder: RunFolder) -> bool:
    """Whether a process works on the run now; one that only waits in the queue has none."""
    status = read(folder)
    return status.active and (status.process is not None or locks.is_held(folder.launch))


OUT_OF_MEMORY = re.compile(r"Error out of memory at line \d+ in file ")
"""What bitsandbytes' library prints before it ends the process."""

DAMAGED = (ValueError, TypeError, KeyError, AttributeError)
"""What reading a damaged launch.json or exit.json raises."""


def _damaged(folder: RunFolder, problem: RecordError) -> Status:
    hint = f"Start it again with: studio runs resume {folder.id}, or remove it: studio runs delete {folder.id}"
    if "newer release" in problem.message:
        hint = problem.hint
    message = f"damaged: status.json cannot be read ({shorten(problem.message, 160)})"
    error = ErrorRecord(kind=RecordError.__name__, message=message, hint=hint, where=str(folder.status))
    return Status(state="failed", error=error)


def _before_start(folder: RunFolder) -> Status:
    """Queued; or interrupted, if nobody will ever start it: whoever made the folder was killed before it got a place.

    Or what its events say, where they say that it was started: its status was lost, or set aside because it was damaged.
    """
    if (told := _by_events(folder)) and not queue.waits(folder.path.parent.parent, folder.id):
        return told
    try:
        age = time.time() - folder.asked.stat().st_mtime
        old = age > GRACE and (age > PATIENCE or not _maker_lives(folder))
    except FileNotFoundError:
        hint = "Start it anew; stop a run before it is removed: studio runs stop RUN."
        error = ErrorRecord(kind="JobError", message="the run folder was removed", hint=hint, where=str(folder.path))
        return Status(state="interrupted", error=error)
    if not old or queue.waits(folder.path.parent.parent, folder.id):
        return Status(state="queued")
    if folder.status.exists():
        return read(folder)  # it was launched between the two looks
    return Status(
        state="interrupted",
        error=ErrorRecord(
            kind="JobError",
            message="this run was created and never started: the command that created it was killed at that moment",
            hint=f"Start it with: studio runs resume {folder.id}",
            where=str(folder.path),
        ),
    )


def _by_events(folder: RunFolder) -> Status | None:
    """The state of a run without a status; None if it was never started."""
    state: State | None = None
    error: ErrorRecord | None = None
    ended: float | None = None
    for event in folder.read_events():
        if isinstance(event, events.Stage):
            state, ended = "interrupted", None
            hint = f"Resume from the last checkpoint with: studio runs resume {folder.id}"
            message = "how this run ended is not known: its status.json is missing"
            error = ErrorRecord(kind="JobError", message=message, hint=hint, where=str(folder.status))
        elif isinstance(event, events.Ended):
            state, error, ended = event.state, event.error, event.time
    return Status(state=state, error=error, ended=ended) if state else None


def _maker_lives(folder: RunFolder) -> bool:
    try:
        maker = Launch.read(folder.launch).maker
        return maker is not None and maker.alive()
    except (OSError, RecordError):
        return False


def _cause(folder: RunFolder, status: Status) -> ErrorRecord:
    """Why a run is gone: its exit code where its monitor could still write it, a full disk, the last line of its log."""
    during = f"while {status.state}"
    hint = f"Resume from the last checkpoint with: studio runs resume {folder.id}"
    try:
        code = int(read_json(folder.exit)["code"])
    except (OSError, *DAMAGED):
        code = None
    if code is None and disk_is_full(folder.path):
        message = f"the process of this run disappeared {during}, and the disk is full"
        hint = f"Free disk space, then resume from the last checkpoint with: studio runs resume {folder.id}"
    elif code is None:
        message = f"the process of this run disappeared {during} (the machine restarted or all processes were killed)"
    elif code < 0:
        name = signal.Signals(-code).name
        message = f"the process of this run was killed by {name} {during}"
        if name == "SIGKILL":
            message += " (by hand, or by the system because memory ran out)"
    else:
        message = f"the process of this run ended with exit code {code} {during}"
        if last := last_log_line(folder):
            message += f": {last}"
        if OUT_OF_MEMORY.match(last):
            message = f"the GPU ran out of memory {during} inside bitsandbytes, which ends the process: {last}"
            hint = (
                f"Close other programs on the GPU, or start it again with half the training.micro_batch or with "
                f"training.optimizer=adamw; then: studio runs resume {folder.id}"
            )
    return ErrorRecord(kind="JobError", message=message, hint=hint, where=str(folder.log))


def disk_is_full(folder: Path) -> bool:
    """Whether the disk of a folder has no space for another small file."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(folder).free < 1 << 16
    return False


def last_log_line(folder: RunFolder) -> str:
    """The last line the run's processes printed, without what looks like a secret; empty if there is none."""
    with contextlib.suppress(OSError), open(folder.log, "rb") as log:
        log.seek(0, os.SEEK_END)
        log.seek(max(0, log.tell() - 4096))
        lines = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
        return shorten(redact(lines[-1]), 300) if lines else ""
    return ""
