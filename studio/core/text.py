"""Text for people: sizes, counts and times in human units, and the nearest right word."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable


def size(count: float) -> str:
    """Bytes in binary units: 1.5 GiB, 640 MiB, 12 KiB."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def count(number: float) -> str:
    """A count with thousands separated: 12,345."""
    return f"{number:,.0f}"


def parameters(number: float) -> str:
    """A parameter count: 3.1 B, 155.6 k."""
    for unit, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= scale:
            return f"{number / scale:.1f} {unit}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """Seconds as 0.4 s, 42 s, 3 min 20 s, 2 h 5 min, 1 d 3 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def dollars(amount: float) -> str:
    """US dollars: `2.50 USD`, and below a dollar as many digits as say something: `0.0328 USD`."""
    if amount >= 1 or amount <= 0:
        return f"{amount:,.2f} USD"
    decimals = max(2, 2 - math.floor(math.log10(amount)))
    whole, fraction = f"{amount:.{decimals}f}".split(".")
    return f"{whole}.{fraction[:2]}{fraction[2:].rstrip('0')} USD"


def plural(number: int, one: str, many: str = "") -> str:
    """`1 row`, `2 rows`, `1,000 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word a person most likely meant, or None."""
    lowered = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def slug(name: str) -> str:
    """A name as part of a folder name: lower case letters, digits and single hyphens, at most 40 characters."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "run"


def shorten(text: str, length: int = 80) -> str:
    """One line of at most `length` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def printable(text: str) -> str:
    """Text of others as a terminal may show it: control characters (C0 but tab and newline, DEL, C1) become `�`."""
    return _CONTROL.sub("\ufffd", text)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
