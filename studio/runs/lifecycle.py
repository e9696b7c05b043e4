"""Starting, stopping, resuming and deleting a run. Its processes belong to its folder, not to who started them.

A run is worked on while somebody holds the lock on its launch.json: `launch` takes it, and hands it to the monitor and the
worker (`python -m studio.runs.monitor`), in a session of their own. Closing a terminal or a page does not reach them.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from studio.core import events
from studio.core.errors import JobError, StudioError
from studio.core.records import ErrorRecord, RecordError
from studio.processes import locks, spawn, terminate
from studio.processes.identity import ProcessId
from studio.runs import reserve
from studio.runs.folder import RunFolder
from studio.runs.records import Launch
from studio.runs.status import Status, read

STOP_PATIENCE = 120.0
"""Seconds a run gets to save itself after it was asked, before it is ended."""
LAST_WORDS = 20.0
"""Seconds the processes of an ended run get to write how it ended and to leave, before it is started again or deleted."""


def launch(folder: RunFolder, environment: Mapping[str, str] | None = None) -> None:
    """Start the run's processes and return at once. Raises JobError if one is alive already.

    environment is that of the processes; by default this one's. They inherit the lock and hold it for life: killed at any
    moment, there is one pair of them or none.
    """
    try:
        with locks.hold(folder.launch, _busy_or_late(folder)) as lock:
            status = read(folder, is_held=lambda file: False)  # by nobody but this very process
            if status.active and status.process:
                raise _busy(folder)
            folder.stop.unlink(missing_ok=True)
            folder.exit.unlink(missing_ok=True)
            reserve.make(folder.reserve)
            Status(state="queued", started=time.time(), stages=status.stages).write(folder.status)
            started_in = _started_in(folder)
            spawn.detached(
                spawn.python("studio.runs.monitor", str(folder.path), str(lock.handle)),
                folder.log,
                append=True,
                folder=started_in if started_in.is_dir() else folder.path,
                environment=environment,
                inherit=[lock.handle],
            )
    except locks.LockHeld:
        raise _busy(folder) from None


def _started_in(folder: RunFolder) -> Path:
    try:
        return Launch.read(folder.launch).folder or folder.path
    except (OSError, RecordError):  # damaged: every file of the run is known by its full path anyway
        return folder.path


def fail(folder: RunFolder, error: Exception) -> None:
    """Write that a run could not be started, and why."""
    known = error if isinstance(error, StudioError) else None
    problem = known or JobError(
        f"damaged: the run's files cannot be read ({type(error).__name__}: {error})",
        hint=f"Remove it: studio runs delete {folder.id}",
        where=str(folder.path),
    )
    record = ErrorRecord.of(problem)
    Status(state="failed", ended=time.time(), error=record).write(folder.status)
    folder.event(events.Ended(state="failed", error=record))


def was_started(folder: RunFolder) -> bool:
    """Whether the run was ever worked on. A launch that was cut off before there was a process does not count."""
    if not folder.status.exists():
        return False
    status = read(folder, is_held=lambda file: True)
    return status.state != "queued" or status.process is not None or folder.exit.exists() or locks.is_held(folder.launch)


def _busy_or_late(folder: RunFolder) -> Callable[[str], bool]:
    """Give up at once where the run's worker is at work, else after `LAST_WORDS`."""
    late = locks.within(LAST_WORDS)

    def give_up(holder: str) -> bool:
        status = read(folder, is_held=lambda file: True)
        at_work = status.active and status.process is not None and status.process.alive()
        return at_work or late(holder)

    return give_up


def _busy(folder: RunFolder) -> JobError:
    return JobError("this run is already running", hint=f"Watch it: studio runs watch {folder.id}", where=folder.id)


def request_stop(folder: RunFolder) -> None:
    """Ask the run to save a checkpoint and stop; returns at once."""
    if not read(folder).active:
        raise JobError(f"this run is {read(folder).state}, not running", hint="Nothing needs to be stopped.", where=folder.id)
    folder.stop.touch()


def stop(folder: RunFolder, patience: float = STOP_PATIENCE) -> Status:
    """Ask the run to stop; after `patience` seconds end its worker as `terminate.end` does."""
    request_stop(folder)
    status = wait_for_end(folder, patience)
    if status.active and status.process:
        terminate.end(status.process, 10.0, lambda: not read(folder).active)
    status = wait_for_end(folder, 10.0)
    if status.process and not status.active and not memory_is_back(status.process):
        message = f"process {status.process.pid} has ended its run and still holds memory"
        folder.event(events.Warning(message=message, hint=f"End it by hand: kill -9 {status.process.pid}"))
    return status


def memory_is_back(process: ProcessId, seconds: float = 15.0) -> bool:
    """Wait until the process is gone and no GPU counts memory as its; False if that takes longer than `seconds`."""
    from studio.hardware.machine import holds_memory

    return terminate.wait(lambda: not process.alive() and not holds_memory(process.pid), seconds)


def wait_for_end(folder: RunFolder, seconds: float) -> Status:
    """The status once the run has ended, or after so many seconds."""
    until = time.monotonic() + seconds
    while (status := read(folder)).active and time.monotonic() < until:
        time.sleep(0.2)
    return status


def resume(folder: RunFolder) -> None:
    """Go on with a run that was stopped, interrupted or failed, from its last checkpoint. Raises JobError if done."""
    status = read(folder)
    if status.state == "done":
        raise JobError("this run is done", hint=f"Repeat it: studio train {folder.spec_file}", where=folder.id)
    launch(folder)
    folder.event(events.Resumed(before=status.state))


def delete(folder: RunFolder) -> None:
    """Remove a run and everything in it. Raises JobError while it is being worked on.

    The run's lock is taken first: whatever its files or a clock say, a process that works on it has that lock.
    """
    try:
        with locks.hold(folder.launch, _busy_or_late(folder)):
            status = read(folder, is_held=lambda file: False)
            if status.active and status.process:  # its monitor was killed before it could hand the lock on
                raise locks.LockHeld
            gone = folder.path.with_name(f".deleted-{folder.id}")
            os.replace(folder.path, gone)  # out of every list at once, then the slow part
    except locks.LockHeld:
        raise JobError("this run is running", hint=f"Stop it first: studio runs stop {folder.id}", where=folder.id) from None
    shutil.rmtree(gone, ignore_errors=True)
