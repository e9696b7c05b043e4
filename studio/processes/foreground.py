"""A command that takes this process's place at the terminal: it ends with this process, and gets its signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

_WITH_PARENT = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM: it outlives the exec below
    if os.getppid() != int(sys.argv[1]):
        sys.exit(143)
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Becomes the command it is given, which Linux ends when its parent is gone; elsewhere it is on its own."""


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command until it ends, and return its exit code; SIGTERM and SIGINT are passed on. For the main thread only."""
    bound = [sys.executable, "-I", "-S", "-c", _WITH_PARENT, str(os.getpid()), *command]
    child = subprocess.Popen(bound, stdin=subprocess.DEVNULL, env=dict(environment))
    before = {
        number: signal.signal(number, lambda received, frame: child.send_signal(received))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
