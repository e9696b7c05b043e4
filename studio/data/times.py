"""Times as exports write them: what was first. A date such as 12/11/2025 has two readings, which are kept apart."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Sequence
from typing import Any

from studio.core.plain import is_mapping

Moment = tuple[float | None, float | None]
"""A time in seconds with the day written first, and with the month written first; None where it cannot be so."""

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_CLOCK = re.compile(
    r"(?<![\d:.+-])(\d{1,2})(?:[:.h时時](\d{2})(?:[:.分](\d{2}(?:[.,]\d+)?))?)?(?:\s?([AaPp])\.?\s?[Mm]\b|(?<=[:.h时時]\d\d)|(?<=\d[:.分]\d\d)|(?<=[.,]\d\d\d))"
)
_ZONE = re.compile(r"(?:\s|(?<=[\d.Z]))(?:UTC|GMT)?([+-])(\d{2}):?(\d{2})?\b(?!:)")
_YEAR_FIRST = re.compile(r"\b(\d{4})([-/.])(\d{1,2})\2(\d{1,2})\b")
_FIGURES = re.compile(r"(?<!\d)(\d{1,2})([-/.])\s?(\d{1,2})\2\s?(\d{4}|\d{2})(?!\d)")
_DAY_NAME = re.compile(r"(?<!\d)(\d{1,2})(?:st|nd|rd|th)?[.\s/-]+(?:de |of )?([^\W\d_]{3,})\.?[,\s/-]+(?:de )?(\d{4}|\d{2}\b)")
_NAME_DAY = re.compile(r"([^\W\d_]{3,})\.?\s+(\d{1,2})(?:st|nd|rd|th)?(?!\d),?\s+(?:.*\s)?(\d{4})\b")
_CHARACTERS = re.compile(r"(\d{4})\s?[年년]\s?(\d{1,2})\s?[月월]\s?(\d{1,2})\s?[日일]")
_AFTERNOON = re.compile("下午|午後|오후")
_MONTHS = (
    *("jan ene gen", "feb fév fev", "mar mär mrt", "apr avr abr", "may mai mag mei", "jun juin giu", "jul juil lug"),
    *("aug aoû aou ago", "sep set", "oct okt ott out", "nov", "dec dez dic déc"),
)
_BY_NAME = {name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()}
_KEYS = (
    *("created_at", "createdAt", "created_datetime", "createdDateTime", "created", "timestamp", "timestamp_ms", "time", "date"),
    *("sent_at", "sentAt", "datetime", "create_time", "CreatedDate", "ts"),
)


def moment(value: object) -> Moment | None:
    """When something was, read as day before month and as month before day; None if it is no time that is known."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value), float(value)
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        return float(text), float(text)
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return _written(text)
    sure = _seconds(found.replace(tzinfo=None)) - (offset.total_seconds() if (offset := found.utcoffset()) else 0)
    return sure, sure


def is_clock(value: object) -> bool:
    """Whether a value is the time of a day only."""
    found = None if _NUMBER.fullmatch(str(value).strip()) else moment(value)
    return found is not None and found[0] is not None and found[0] < 86_400


def is_date(value: object) -> bool:
    """Whether a value is a day without a time of day."""
    text = str(value).strip()
    found = None if _NUMBER.fullmatch(text) else moment(text)
    return found is not None and all(at is None or at % 86_400 == 0 for at in found) and not _CLOCK.search(text[8:])


def oldest_first(items: Sequence[Any], *keys: str) -> Sequence[Any]:
    """A list of messages, turned round where each bears a time and the newest stands first."""
    if len(items) < 2 or not all(map(is_mapping, items)):
        return items
    key = next((key for key in keys or _KEYS if all(item.get(key) for item in items)), None)
    if key is None:
        return items
    read = [moment(item[key]) for item in items]
    if any(at is None for at in read):
        return items
    for way in (0, 1):
        times = [at[way] for at in read if at]
        if any(time is None for time in times):
            continue
        pairs = [(one or 0.0, two or 0.0) for one, two in itertools.pairwise(times)]
        if any(one < two for one, two in pairs) or all(one == two for one, two in pairs):
            return items
    return items[::-1]


def _written(text: str) -> Moment | None:
    """A time that is not written as ISO 8601."""
    if match := _YEAR_FIRST.search(text):
        return _both(_date(match[1], match[3], match[4]), _clock(_without(text, match)))
    if match := _CHARACTERS.search(text):
        return _both(_date(match[1], match[2], match[3]), _clock(_without(text, match)))
    if match := _FIGURES.search(text):
        one, two, year, clock = match[1], match[3], match[4], _clock(_without(text, match))
        day = _date(year, two, one)
        month = day if match[2] == "." else _date(year, one, two)
        found = tuple(None if date is None else date + clock for date in (day, month))
        return (found[0], found[1]) if any(at is not None for at in found) else None
    if (match := _DAY_NAME.search(text)) and (number := _month(match[2])):
        return _both(_date(match[3], number, match[1]), _clock(_without(text, match)))
    if (match := _NAME_DAY.search(text)) and (number := _month(match[1])):
        return _both(_date(match[3], number, match[2]), _clock(text[match.end(2) :]))
    clock = _clock(text)
    return (clock, clock) if _CLOCK.match(text) else None


def _without(text: str, match: re.Match[str]) -> str:
    return f"{text[: match.start()]} {text[match.end() :]}"


def _both(date: float | None, clock: float) -> Moment | None:
    return None if date is None else (date + clock, date + clock)


def _month(name: str) -> int | None:
    lowered = name.casefold()
    return _BY_NAME.get(lowered[:4]) or _BY_NAME.get(lowered[:3])


def _date(year: str, month: str | int, day: str) -> float | None:
    full = int(year) + (2000 if len(year) == 2 else 0)
    try:
        return _seconds(datetime.datetime(full, int(month), int(day)))
    except ValueError:
        return None


def _seconds(time: datetime.datetime) -> float:
    return (time - datetime.datetime(1970, 1, 1)).total_seconds()


def _clock(text: str) -> float:
    """The seconds since midnight, less the offset of the time zone if one is written."""
    match = _CLOCK.search(text)
    if match is None:
        return 0.0
    hour, half = int(match[1]), (match[4] or "").lower()
    minute, second = match[2] or "0", match[3] or "0"
    half = half or ("p" if _AFTERNOON.search(text) else "")
    hour = hour % 12 + (12 if half == "p" else 0) if half else hour
    zone = _ZONE.search(text, match.end())
    away = (int(zone[2]) * 60 + int(zone[3] or 0)) * 60 * (1 if zone[1] == "+" else -1) if zone else 0
    return hour * 3600 + int(minute) * 60 + float(second.replace(",", ".")) - away
