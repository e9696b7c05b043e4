"""A little disk space that a run keeps for its last word: on a full disk it can still write that the disk is full."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from studio.core.errors import HardwareError
from studio.core.text import size
from studio.processes import system

SIZE = 64 << 10
"""Bytes: status, event and exit of a run, each written aside, and the blocks of their folder."""


def make(file: Path) -> None:
    """Reserve the space. Raises HardwareError if the disk has not even that."""
    try:
        with open(file, "wb") as out:
            system.reserve(out.fileno(), SIZE)
    except OSError as problem:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
        raise HardwareError(
            f"the run cannot be started: {problem.strerror} ({size(SIZE)} are needed to begin with)",
            hint="Free disk space, or choose another folder with --home.",
            where=str(file.parent),
        ) from None


def release(file: Path) -> None:
    """Give the space back, for what is written next."""
    with contextlib.suppress(OSError):
        file.unlink()
        if os.statvfs(file.parent).f_bavail == 0:
            os.sync()  # some file systems give freed blocks back only when their journal is written
