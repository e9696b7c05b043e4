"""A process that ends with the one it works for, however that one ends."""

from __future__ import annotations

import os
import signal
import threading
import time

from studio.processes import system
from studio.processes.identity import ProcessId

PATIENCE = 10.0
"""Seconds a process has to end in good order once nobody needs it."""


def end_with(owner: ProcessId) -> None:
    """End this process when `owner` is gone: asked first, then by force."""
    threading.Thread(target=_watch, args=(owner,), daemon=True, name="watchdog").start()


def _watch(owner: ProcessId) -> None:
    while owner.alive():
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    system.kill_everything(os.getpid())
