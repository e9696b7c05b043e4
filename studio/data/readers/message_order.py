"""The order of single messages: by their times. Where day and month cannot be told apart, it is asked."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from studio.core.errors import DataError
from studio.data.readers.facts import Facts
from studio.data.times import Moment, moment

Item = TypeVar("Item")


def in_order(groups: Sequence[list[Item]], when: Callable[[Item], Any], column: str, facts: Facts) -> list[list[Item]]:
    """The items of each group by time, the oldest first. Raises DataError if their times do not tell which that is.

    Of equal times that is first which stands first, or last in a file whose newest come first. A time that is missing is
    that of the item before. How times are to be read can be said (`facts.message_order`).
    """
    if facts.message_order == "as_written":
        return list(groups)
    if facts.message_order == "newest_first":
        return [group[::-1] for group in groups]
    read = [[_read(when(item), column, facts) for item in group] for group in groups]
    ways = [[[None if at is None else at[way] for at in group] for group in read] for way in (0, 1)]
    able = [way for way in (0, 1) if all(at is None or at[way] is not None for group in read for at in group)]
    if facts.message_order in ("day_first", "month_first"):
        able = [way for way in able if way == (facts.message_order == "month_first")]
    orders = [_sorted(ways[way]) for way in able]
    if not orders or (len(orders) == 2 and orders[0] != orders[1]):
        raise _unclear(next(str(when(item)) for group in groups for item in group if when(item)), column, facts, bool(orders))
    if any(places != list(range(len(places))) for places in orders[0]):
        facts.remarks.append(f"The messages did not stand in the order of `{column}`; they were put in it, the oldest first.")
    return [[group[place] for place in places] for group, places in zip(groups, orders[0], strict=True)]


def _read(value: object, column: str, facts: Facts) -> Moment | None:
    if value is None or not str(value).strip():
        return None
    found = moment(value)
    if found is None:
        raise DataError(
            f"its rows are single messages, and their times in `{column}` cannot be read ({str(value)[:40]!r})",
            hint="Write under data: message_order: as_written  (the oldest message of a conversation stands first)  or  "
            "message_order: newest_first; or write the times as 2026-05-31 14:05.",
            where=facts.name,
        )
    return found


def _unclear(example: str, column: str, facts: Facts, either: bool) -> DataError:
    found = "may have the day or the month first" if either else "do not all have the day first, nor all the month"
    way = "day_first  or  message_order: month_first" if either else "as_written  or  message_order: newest_first"
    return DataError(
        f"its rows are single messages, and their times in `{column}` {found} ({example[:40]!r})",
        hint=f"Write under data: message_order: {way}  (by it each conversation's messages are put in order).",
        where=facts.name,
    )


def _sorted(groups: list[list[float | None]]) -> list[list[int]]:
    """The places of each group's items in the order of time."""
    filled = [_filled(group) for group in groups]
    pairs = [(one, two) for group in filled for one, two in itertools.pairwise(group)]
    newest_first = sum(one > two for one, two in pairs) > sum(one < two for one, two in pairs)
    places = [list(range(len(group))) for group in filled]
    if newest_first:
        places = [group[::-1] for group in places]
    return [sorted(standing, key=times.__getitem__) for standing, times in zip(places, filled, strict=True)]


def _filled(times: Iterable[float | None]) -> list[float]:
    known = list(times)
    before = next((time for time in known if time is not None), 0.0)
    return [before := time if time is not None else before for time in known]
