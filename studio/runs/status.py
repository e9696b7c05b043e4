"""A run's state: a pure read of its files and of whether its process lives.

States: queued -> preparing -> training -> evaluating -> exporting -> done | failed | stopped | interrupted.
"""

from __future__ import annotations

import signal
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from studio.core.events import State
from studio.core.files import read_json
from studio.runs import queue
from studio.runs.folder import RunFolder

ACTIVE: tuple[State, ...] = ("queued", "preparing", "training", "evaluating", "exporting")
ENDED: tuple[State, ...] = ("done", "failed", "stopped", "interrupted")

GRACE = 30
"""Seconds between a run's folder, its place in the queue, its launch and its process' first word."""
PATIENCE = 600
"""The same for a run whose maker lives: slow, or a web server that outlives what went wrong."""


@dataclass(frozen=True)
class Process:
    """A process named beyond doubt: a pid alone may be somebody else's by now."""

    pid: int
    born: float
    """Start time, seconds since the epoch, as the system reports it."""

    def alive(self) -> bool:
        """Whether this very process still runs."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.born) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this pid now."""
        import psutil

        return cls(pid, psutil.Process(pid).create_time())


@dataclass(frozen=True)
class Status:
    """What is known of a run now."""

    state: State
    done: float = 0
    total: float = 0
    what: str = ""
    """Progress of the present stage: `done` of `total`, in the unit `what`."""
    started: float | None = None
    ended: float | None = None
    process: Process | None = None
    error: dict[str, str] | None = None
    """For failed and interrupted: what happened (message), what to do (hint), where."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds each finished stage took."""

    @property
    def active(self) -> bool:
        """Whether the run is queued or being worked on."""
        return self.state in ACTIVE

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for status.json and `--json`."""
        return asdict(self)


def read(folder: RunFolder) -> Status:
    """The state of a run. Changes nothing: a run whose process is gone without a word is `interrupted`."""
    try:
        values = read_json(folder.status)
    except FileNotFoundError:
        return _before_start(folder)
    process = Process(**values["process"]) if values.get("process") else None
    status = Status(**{**values, "process": process})
    if not status.active:
        return status
    if process is not None and process.alive():
        return status
    if process is None and time.time() - folder.status.stat().st_mtime < GRACE:
        return status  # launched a moment ago; the process has not said its name yet
    again = read_json(folder.status)  # it may have ended well between the two looks
    if again["state"] in ENDED:
        return read(folder)
    return Status(**{**values, "process": process, "state": "interrupted", "error": _cause(folder, status)})


def _before_start(folder: RunFolder) -> Status:
    """Queued; or interrupted, if nobody will ever start it: whoever made the folder was killed before it got a place."""
    try:
        age = time.time() - folder.asked.stat().st_mtime
        old = age > GRACE and (age > PATIENCE or not _maker_lives(folder))
    except FileNotFoundError:
        old = False
    if not old or queue.waits(folder.path.parent.parent, folder.id):
        return Status(state="queued")
    if folder.status.exists():
        return read(folder)  # it was launched between the two looks
    return Status(
        state="interrupted",
        error={
            "kind": "JobError",
            "message": "this run was made and never started: the command that made it was killed at that moment",
            "hint": f"Start it with: studio runs resume {folder.id}",
            "where": str(folder.path),
        },
    )


def _maker_lives(folder: RunFolder) -> bool:
    try:
        return Process(**read_json(folder.launch)["maker"]).alive()
    except (OSError, ValueError, KeyError):
        return False


def _cause(folder: RunFolder, status: Status) -> dict[str, str]:
    message = f"the process of this run vanished while {status.state}"
    try:
        code = int(read_json(folder.exit)["code"])
    except (OSError, ValueError, KeyError):
        code = None
        message += " (the machine was restarted, or everything was killed at once)"
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        message = f"the process of this run was killed by {name} while {status.state}"
        if name == "SIGKILL":
            message += " (by hand, or by the system because memory ran out)"
    elif code is not None:
        message = f"the process of this run ended with exit code {code} while {status.state}"
    hint = f"Go on from the last checkpoint with: studio runs resume {folder.id}"
    return {"kind": "JobError", "message": message, "hint": hint, "where": str(folder.log)}
