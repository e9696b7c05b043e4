"""Ending a process: asked first, then by force."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

from studio.processes import system
from studio.processes.identity import ProcessId


def request(process: ProcessId) -> None:
    """Ask a process to end in good order (SIGTERM)."""
    if process.alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)


def end(process: ProcessId, patience: float, ended: Callable[[], bool] | None = None) -> bool:
    """Ask a process to end, and after `patience` seconds kill it with what it started. True once it is gone.

    ended: what counts as its end, where that is more than the process itself.
    """
    gone = ended or (lambda: not process.alive())
    request(process)
    if wait(gone, patience):
        return True
    if process.alive():
        system.kill_everything(process.pid)
    return wait(gone, 10.0)


def wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until `condition` holds; False if it does not within so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= until:
            return False
        time.sleep(0.05)
    return True
