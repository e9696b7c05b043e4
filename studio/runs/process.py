"""Starting, stopping and resuming the process of a run. It belongs to its folder, not to who started it.

The process is `python -m studio.runs.keeper`, in a session of its own: closing a terminal or a page does not reach it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

from studio.core import events
from studio.core.errors import JobError
from studio.core.files import read_json, write_json
from studio.runs.folder import RunFolder
from studio.runs.status import Process, Status, read

STOP_PATIENCE = 120.0
"""Seconds a run gets to save itself after it was asked, before it is killed."""
LAST_WORDS = 10.0
"""Seconds the keeper of an ended run gets to write how it ended, before another may start."""


def launch(folder: RunFolder) -> None:
    """Start the run's process and return at once. Raises JobError if one is alive already.

    The lock on launch.json goes to the keeper, which holds it for life: killed at any moment, there is one process or none.
    """
    with open(folder.launch) as held:
        _lock(folder, held)
        status = read(folder)
        if status.active and status.process:
            raise _busy(folder)
        folder.stop.unlink(missing_ok=True)
        folder.exit.unlink(missing_ok=True)
        write_json(folder.status, Status(state="queued", started=time.time(), stages=status.stages).as_dict())
        started_in = Path(read_json(folder.launch)["folder"])
        with open(folder.log, "ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", "studio.runs.keeper", str(folder.path)],
                cwd=started_in if started_in.is_dir() else folder.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(held.fileno(),),
            )


def began(folder: RunFolder) -> bool:
    """Whether the run was ever worked on. A launch that was cut off before there was a process does not count."""
    if not folder.status.exists():
        return False
    values = read_json(folder.status)
    if values["state"] != "queued" or values.get("process") or folder.exit.exists():
        return True
    with open(folder.launch) as held:
        return not _free(held)


def _lock(folder: RunFolder, held: TextIO) -> None:
    until = time.monotonic() + LAST_WORDS
    while not _free(held):
        if (folder.status.exists() and read(folder).active) or time.monotonic() > until:
            raise _busy(folder)
        time.sleep(0.05)


def _free(held: TextIO) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _busy(folder: RunFolder) -> JobError:
    return JobError("this run is being worked on already", hint=f"Watch it: studio runs watch {folder.id}", where=folder.id)


def ask_to_stop(folder: RunFolder) -> None:
    """Ask the run to save a checkpoint and stop; returns at once."""
    if not read(folder).active:
        raise JobError(f"this run is {read(folder).state}, not running", hint="Nothing needs to be stopped.", where=folder.id)
    folder.stop.touch()


def stop(folder: RunFolder, patience: float = STOP_PATIENCE) -> Status:
    """Ask the run to stop; after `patience` seconds TERM its process group, and ten seconds later KILL it."""
    ask_to_stop(folder)
    for wait, send in ((patience, signal.SIGTERM), (10.0, signal.SIGKILL), (10.0, None)):
        status = wait_for_end(folder, wait)
        if not status.active:
            if status.process and not memory_is_back(status.process):
                message = f"process {status.process.pid} has ended its run and still holds memory"
                folder.event(events.Warning(message=message, hint=f"End it by hand: kill -9 {status.process.pid}"))
            return status
        if send and status.process:
            try:
                os.killpg(os.getpgid(status.process.pid), send)
            except ProcessLookupError:
                continue
    return read(folder)


def memory_is_back(process: Process, seconds: float = 15.0) -> bool:
    """Wait until the process is gone and no card counts memory as its; False if that takes longer than `seconds`."""
    from studio.hardware.machine import holds_memory

    until = time.monotonic() + seconds
    while process.alive() or holds_memory(process.pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


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
    """Remove a run and everything in it. Raises JobError while it is being worked on."""
    if read(folder).active and folder.status.exists():
        raise JobError("this run is being worked on", hint=f"Stop it first: studio runs stop {folder.id}", where=folder.id)
    gone = folder.path.with_name(f".deleted-{folder.id}")
    os.replace(folder.path, gone)  # out of every list at once, then the slow part
    shutil.rmtree(gone, ignore_errors=True)
