"""A process that ends with the one it works for, however that one ends."""

from __future__ import annotations

import os
import signal
import threading
import time

from studio.core.errors import SpecError
from studio.runs.status import Process

PATIENCE = 10.0
"""Seconds a process has to end in good order once nobody needs it."""


def name(process: Process) -> str:
    """A process as `PID:BORN`, exactly."""
    return f"{process.pid}:{process.born!r}"


def end_with(owner: str) -> None:
    """End this process when the one called `PID:BORN` is gone: asked first, then by force. Raises SpecError."""
    pid, _, born = owner.partition(":")
    try:
        process = Process(int(pid), float(born))
    except ValueError:
        raise SpecError(f"`{owner}` is not PID:BORN", hint="Leave --until away.", where="--until") from None
    threading.Thread(target=_watch, args=(process,), daemon=True).start()


def _watch(owner: Process) -> None:
    while owner.alive():
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    end_now(os.getpid())


def end_now(pid: int) -> None:
    """End a process at once, and what it started where it leads a group. Raises ProcessLookupError if it is gone."""
    if os.getpgid(pid) == pid:
        os.killpg(pid, signal.SIGKILL)
    else:
        os.kill(pid, signal.SIGKILL)
