"""Locks on files that the kernel releases when the last process that holds them ends, however it ends.

A lock belongs to the open file, so a child that inherits the descriptor holds it too (`spawn.detached(inherit=…)`): the run's
processes keep the run's lock for as long as any of them lives.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.processes import system

PAUSE = 0.05
"""Seconds between two tries."""


class LockHeld(Exception):
    """Another process has the lock. holder: what it wrote into the file."""

    def __init__(self, holder: str = "") -> None:
        super().__init__(holder)
        self.holder = holder


@dataclass(frozen=True)
class Lock:
    """A lock that is held."""

    handle: int
    """The open file; a child that is to share the lock inherits it."""

    def sign(self, text: str) -> None:
        """Write into the file who has the lock, for those who wait. A file of another user cannot be signed; it still locks."""
        with contextlib.suppress(OSError):
            os.ftruncate(self.handle, 0)
            os.pwrite(self.handle, text.encode(), 0)


@contextlib.contextmanager
def hold(
    path: Path, give_up: Callable[[str], bool] = lambda holder: True, pause: float = PAUSE, remove: bool = False
) -> Iterator[Lock]:
    """Hold the lock on `path`, which is made if it is missing.

    give_up(holder) is asked after each try that failed; by default the first one is the last. Raises LockHeld then. remove:
    the file goes when the lock is given back, for places where people look; every holder of such a file has to say so.
    """
    handle = _open(path)
    try:
        while not (system.lock_exclusive(handle) and (not remove or _is_at(path, handle))):
            holder = _signature(handle)
            if remove and not _is_at(path, handle):  # its holder is done and removed it: the next one is another file
                stale, handle = handle, _open(path)
                os.close(stale)
                continue
            if give_up(holder):
                raise LockHeld(holder)
            time.sleep(pause)
        try:
            yield Lock(handle)
        finally:
            if remove:
                path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _is_at(path: Path, handle: int) -> bool:
    """Whether the open file is the one of that name."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(handle))
    return False


PROBE = 1.0
"""Seconds within which those who only look whether a lock is held have let go of it."""


def within(seconds: float) -> Callable[[str], bool]:
    """For `hold`: give up after so many seconds."""
    until = time.monotonic() + seconds
    return lambda holder: time.monotonic() > until


def is_held(path: Path) -> bool:
    """Whether a process holds the lock on `path` now. Changes nothing; False for a file that is not there."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not system.lock_shared(handle)
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    """The file for reading and writing where that is allowed: another user's lock file in a shared folder may only be read."""
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags | os.O_RDWR)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # made by another one meanwhile
            return os.open(path, flags | os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        return _open(path)  # where its holder is done, it may be gone again
    except PermissionError:
        return os.open(path, flags | os.O_RDONLY)


def _signature(handle: int) -> str:
    with contextlib.suppress(OSError):
        return os.pread(handle, 4096, 0).decode("utf-8", "replace").strip()
    return ""
