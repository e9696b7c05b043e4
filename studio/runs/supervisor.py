"""The supervisor: starts waiting runs when the device is free. `python -m studio.runs.supervisor HOME`, or `studio worker`.

It keeps nothing in memory. Runs live in processes of their own, so a killed supervisor harms none of them; the next one
reads the same folders and the same queue. Two at a time are impossible: the lock file is the kernel's.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.core import events
from studio.core.errors import StudioError
from studio.runs import process, queue
from studio.runs.folder import RunFolder
from studio.runs.status import read

PAUSE = 0.5
"""Seconds between two looks at the queue."""
IDLE = 600.0
"""Seconds after which a supervisor that nobody asked for by name ends, if nothing waits and nothing runs."""


def supervise(root: Path, idle: float | None = None) -> bool:
    """Start waiting runs one after another; returns False at once if another supervisor lives.

    idle: returns True after so many seconds in which nothing waits and nothing runs, or when the home is gone.
    """
    with _alone(root) as alone:
        if not alone:
            return False
        busy = time.monotonic()
        while root.exists():
            if any_active(root) or start_next(root) is not None or queue.waiting(root):
                busy = time.monotonic()
            elif idle is not None and time.monotonic() - busy >= idle:
                return True
            time.sleep(PAUSE)
        return True


def any_active(root: Path) -> bool:
    """Whether a launched run is alive. Runs that only wait in the queue do not count."""
    return any(read(RunFolder(file.parent)).active for file in (root / "runs").glob("*/status.json"))


def start_next(root: Path) -> str | None:
    """Start the next waiting run; its id, or None if none waits. A run that cannot be started is told so in its folder."""
    with queue.next_leaving(root) as run:
        if run is None:
            return None
        folder = RunFolder(root / "runs" / run)
        if folder.asked.exists() and not process.began(folder):  # else deleted, or started by one that was killed then
            try:
                process.launch(folder)
            except StudioError as error:
                folder.event(events.Warning(message=str(error), hint=error.hint))
        return run


def alive(root: Path) -> bool:
    """Whether a supervisor lives for this home."""
    with _alone(root) as alone:
        return not alone


def ensure(root: Path) -> None:
    """Start a supervisor, detached, if none lives."""
    if alive(root):
        return
    root.mkdir(parents=True, exist_ok=True)
    with open(root / "supervisor.log", "ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "studio.runs.supervisor", str(root)],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@contextmanager
def _alone(root: Path) -> Iterator[bool]:
    path = root / "locks" / "supervisor.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield True


if __name__ == "__main__":
    sys.exit(0 if supervise(Path(sys.argv[1]), IDLE) else 1)
