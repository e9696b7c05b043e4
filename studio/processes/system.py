"""The calls that only Linux has. Every other module asks here, so that `import studio` works everywhere."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from studio.core.errors import HardwareError

PROC = Path("/proc")
"""The kernel's process table, as files; a test may give another one."""
DEAD = "ZXx"
"""States in /proc/PID/stat of a process that has ended: zombie, dead."""


def require_linux() -> None:
    """Raise HardwareError on a system without what running processes needs here (flock, /proc, process groups)."""
    if not sys.platform.startswith("linux"):
        names = {"win32": "Windows", "darwin": "macOS"}
        raise HardwareError(
            f"Studio runs on Linux and WSL2; this is {names.get(sys.platform, sys.platform)}",
            hint="On Windows install WSL2 (`wsl --install`) and run Studio inside it.",
        )


def boot_id() -> str:
    """The id the kernel drew at the last boot; empty where it tells none."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """Clock ticks from boot to the start of the live process `pid`; None if there is none. No clock that is set moves it."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return None if fields[0] in DEAD else int(fields[19])


def lock_exclusive(handle: int) -> bool:
    """Lock an open file for this process and all that inherit the handle; False if another one has it."""
    return _flock(handle, shared=False)


def lock_shared(handle: int) -> bool:
    """Lock an open file as one of several readers; False if somebody has it exclusively."""
    return _flock(handle, shared=True)


def _flock(handle: int, shared: bool) -> bool:
    require_linux()
    import fcntl

    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def reserve(handle: int, size: int) -> None:
    """Give an open file `size` bytes of real disk space. Raises OSError if the disk has not got them."""
    require_linux()
    os.posix_fallocate(handle, 0, size)


def kill_everything(pid: int) -> None:
    """SIGKILL a process and what it started: its group where it leads one, else its descendants too."""
    import psutil

    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
            return
        try:
            below = psutil.Process(pid).children(recursive=True)
        except psutil.Error:
            below = []
        os.kill(pid, signal.SIGKILL)
        for child in below:
            with contextlib.suppress(psutil.Error):
                child.kill()
