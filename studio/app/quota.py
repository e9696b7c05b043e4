"""How much the web studio may store: what one session uploads in a day, and the disk space of the whole home.

An owner may set both; left out, they are decided from the disk. A refusal names what takes most and what to delete.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from studio.app import upkeep
from studio.core.errors import HardwareError, SpecError
from studio.core.records import Record
from studio.core.text import size

DAY = 86400.0
"""Seconds over which the uploads of a session are counted."""
LEAST_UPLOADS, MOST_UPLOADS = 2 << 30, 20 << 30
"""Bounds in bytes of what is decided for a session."""
SHARE = 0.9
"""Share of the disk space in reach of the home (taken by it, or free) that it may take, if nobody set a quota."""
KEEP_FREE = 1 << 30
"""Bytes of disk that are always left free."""
FRESH = 20.0
"""Seconds for which the measured size of a home is used again."""
_UNITS = ("", "k", "m", "g", "t")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)


class Limits(Record):
    """`<home>/ui/limits.json`: what an owner has set; None: decided by the studio."""

    label: ClassVar[str] = "limits of the web studio"
    remedy: ClassVar[str] = "Delete the file; the limits are then decided by Studio."

    session_uploads: int | None = None
    """Bytes one session may upload within a day."""
    disk: int | None = None
    """Bytes the home may take."""


@dataclass(frozen=True)
class Bounds:
    """The limits in force, in bytes, and what the home takes now."""

    session_uploads: int
    disk: int
    used: int
    free: int


def read(home: Path) -> Limits:
    """What an owner has set. Raises RecordError."""
    file = _file(home)
    return Limits.read(file) if file.exists() else Limits()


def write(limits: Limits, home: Path) -> None:
    """Set the limits. Raises SpecError for limits under which nothing works."""
    if limits.session_uploads is not None and limits.session_uploads < 1 << 20:
        raise SpecError("uploads of a session below 1 MiB", hint="Leave it empty, or set at least 1 MiB.", where="limits")
    if limits.disk is not None and limits.disk < 1 << 30:
        raise SpecError("a disk quota below 1 GiB", hint="Leave it empty, or set at least 1 GiB.", where="limits")
    limits.write(_file(home))


def parse_size(text: str) -> int | None:
    """Bytes of `20 GiB`, `500M` or `1.5 tb` (all powers of 1024); None for an empty text. Raises SpecError."""
    if not text.strip():
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise SpecError(f"expected a size, got {text[:40]!r}", hint="Write for example 20 GiB.", where="limits")
    return int(float(match[1]) * 1024 ** _UNITS.index(match[2].lower()))


def bounds(home: Path) -> Bounds:
    """The limits in force."""
    set_by_owner, used, free = read(home), used_by(home), _free(home)
    decided = max(LEAST_UPLOADS, min(MOST_UPLOADS, free // 10))
    return Bounds(
        session_uploads=set_by_owner.session_uploads or decided,
        disk=set_by_owner.disk or int(SHARE * (used + free)),
        used=used,
        free=free,
    )


def require_space(home: Path, more: int = 0, what: str = "this") -> None:
    """Raise HardwareError if the home may not grow by `more` bytes: for its quota, or for the disk itself."""
    now = bounds(home)
    if now.used + more > now.disk:
        raise HardwareError(
            f"the disk quota of {size(now.disk)} is used up: {size(now.used)} are taken, and {what} needs "
            f"{size(more) if more else 'more'}",
            hint=_what_to_delete(home),
            where="disk quota",
        )
    if now.free - more < KEEP_FREE:
        raise HardwareError(
            f"there is too little free disk space for {what}: {size(now.free)} are free, and {size(KEEP_FREE)} must stay free",
            hint=_what_to_delete(home),
            where="disk",
        )


def used_by(home: Path) -> int:
    """Bytes that a home takes, measured at most every few seconds."""
    with _measuring:
        measured, at = _measured.get(home, (0, -FRESH))
        if time.monotonic() - at > FRESH:
            measured = sum(upkeep.disk_use(home).values())
            _measured[home] = (measured, time.monotonic())
        return measured


class Uploads:
    """What each session uploaded within the last day. Kept in memory: a restart of the server begins anew."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._by_session: dict[str, list[tuple[float, int]]] = {}

    def take(self, session: str, count: int, limit: int) -> None:
        """Count an upload of `count` bytes. Raises HardwareError if the session may upload no more."""
        with self._lock:
            now = self._clock()
            for name in list(self._by_session):
                recent = [item for item in self._by_session[name] if now - item[0] < DAY]
                self._by_session[name] = recent
                if not recent:
                    del self._by_session[name]
            mine = self._by_session.setdefault(session, [])
            before = sum(item[1] for item in mine)
            if before + count > limit:
                raise HardwareError(
                    f"this session may upload {size(limit)} a day; {size(before)} were uploaded and this is {size(count)}",
                    hint="Upload less, or tomorrow; an owner can raise the limit in Settings.",
                    where="upload",
                )
            mine.append((now, count))


_measuring = threading.Lock()
_measured: dict[Path, tuple[int, float]] = {}


def forget(home: Path) -> None:
    """Measure the home anew at the next question: something large was deleted."""
    with _measuring:
        _measured.pop(home, None)


def _what_to_delete(home: Path) -> str:
    largest = [f"{kind} {size(taken)}" for kind, taken in list(upkeep.disk_use(home).items())[:3] if taken]
    unneeded = sum(item.bytes for item in upkeep.find_unneeded(home))
    takes = f"The most is taken by {', '.join(largest)}. " if largest else ""
    clean = f"{size(unneeded)} are not needed: delete them on the page Disk space. " if unneeded else ""
    return f"{takes}{clean}Delete runs, exports or datasets that you do not need, or have an owner raise the quota in Settings."


def _free(home: Path) -> int:
    return shutil.disk_usage(next(item for item in (home, *home.parents) if item.exists())).free


def _file(home: Path) -> Path:
    return home / "ui" / "limits.json"
