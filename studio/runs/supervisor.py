"""The supervisor: starts waiting runs when the device is free. `python -m studio.runs.supervisor HOME`, or `studio worker`.

It keeps nothing in memory. Runs are processes of their own, so a killed supervisor harms none of them; the next one
reads the same folders and the same queue. Two at a time are impossible: the kernel keeps its lock.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from studio.core import journal
from studio.core.errors import StudioError
from studio.core.files import make_home, read_json, write_json
from studio.processes import locks, spawn
from studio.runs import environment, lifecycle, queue
from studio.runs.folder import RunFolder
from studio.runs.records import Launch
from studio.runs.status import at_work

PAUSE = 0.5
"""Seconds between two reads of the queue."""
TROUBLE = 5.0
"""Seconds before another try where the queue or a run folder could not be written."""
IDLE = 600.0
"""Seconds after which a supervisor that was started by `ensure` ends, if nothing waits and nothing runs."""


def supervise(root: Path, idle: float | None = None) -> bool:
    """Start waiting runs one after another; returns False if another supervisor is running.

    idle: returns True after so many seconds in which nothing waits and nothing runs, or when the home is gone.
    """
    try:
        with locks.hold(_lock(root), locks.within(locks.PROBE)) as lock:
            lock.sign(str(os.getpid()))
            _log(root, "started", pid=os.getpid())
            write_json(_marks(root), environment.marks())
            try:
                _run_queue(root, idle)
            finally:
                _log(root, "ended", pid=os.getpid())
    except locks.LockHeld:
        return False
    return True


def _run_queue(root: Path, idle: float | None) -> None:
    busy = time.monotonic()
    while root.exists():
        try:
            if any_active(root) or start_next(root) is not None or queue.waiting(root):
                busy = time.monotonic()
            elif idle is not None and time.monotonic() - busy >= idle:
                return
        except OSError as problem:  # a full disk, a home that cannot be written: the queue waits until it can
            print(f"{time.strftime('%F %T')} the queue waits: {problem}", file=sys.stderr, flush=True)  # noqa: T201
            _log(root, "waiting", why=problem.strerror or type(problem).__name__)
            time.sleep(TROUBLE)
        time.sleep(PAUSE)


def any_active(root: Path) -> bool:
    """Whether a launched run is alive. Runs that only wait in the queue do not count."""
    return any(at_work(RunFolder(file.parent)) for file in (root / "runs").glob("*/status.json"))


def start_next(root: Path) -> str | None:
    """Start the next waiting run; its id, or None if none waits. A run that cannot be started fails with the reason.

    Raises OSError where not even that can be written; the run then waits on.
    """
    with queue.next_leaving(root) as run:
        if run is None:
            return None
        folder = RunFolder(root / "runs" / run)
        if folder.asked.exists() and not lifecycle.was_started(folder):  # else deleted, or started by one that was killed then
            try:
                asked = Launch.read(folder.launch)
                lifecycle.launch(folder, environment.for_run(asked.environment, asked.secrets))
                _log(root, "run started", run=run)
            except (
                StudioError,
                ValueError,
                KeyError,
                TypeError,
                AttributeError,
            ) as error:  # one damaged folder must not stop the others
                lifecycle.fail(folder, error)
                _log(root, "run not started", run=run, why=type(error).__name__)
        return run


def alive(root: Path) -> bool:
    """Whether a supervisor is running for this home."""
    return locks.is_held(_lock(root))


def ensure(root: Path) -> None:
    """Start a supervisor, detached, if none is running."""
    if not alive(root):
        make_home(root)
        write_json(_marks(root), environment.marks())
        spawn.detached(spawn.python("studio.runs.supervisor", str(root)), root / "supervisor.log", append=True, folder=root)


def secrets_known(root: Path) -> dict[str, str]:
    """The marks of the secrets that the supervisor was started with."""
    try:
        return dict(read_json(_marks(root)))
    except (OSError, ValueError, TypeError):
        return {}


def _log(root: Path, event: str, **values: object) -> None:
    """Note what the supervisor did in `<home>/logs/supervisor.jsonl`, unless the home is gone."""
    if root.exists():
        journal.of_home(root, "supervisor").write({"event": event, **values})


def _marks(root: Path) -> Path:
    return root / "locks" / "supervisor-secrets.json"


def _lock(root: Path) -> Path:
    return root / "locks" / "supervisor.lock"


if __name__ == "__main__":
    sys.exit(0 if supervise(Path(sys.argv[1]), IDLE) else 1)
