"""Two answers and which is better: `response_a`, `response_b` and `winner`, as annotators and arenas write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from studio.data.columns import Table, plain, words
from studio.data.notes import Unusable
from studio.data.texts import kind_of

SIDES = (("a", "b"), ("0", "1"), ("1", "2"))
"""How the names of the two columns end."""
_ANSWERS = frozenset(
    words("response responses answer completion output conversation text reply candidate generation summary solution")
)
_WINNER = frozenset(
    ("winner", "better response id", "better response", "preferred response", "preferred", "preference", "choice", "verdict",
     "chosen", "better", "best", "best response", "judgment", "human preference", "chosen response")
)  # fmt: skip
_STRENGTH = frozenset(("overall preference", "preference strength", "preference", "preference score", "human preference"))
_NAME = re.compile(r"(.*?)(?: (?=[ab])| ?(?=[0-2]))([ab0-2])")
"""What a column holds, and which of two it is; in plain words: `response a`, `response1`."""
_TIE = frozenset(words("tie ties tied both equal same neither none draw bothbad"))
TIE = "tie"
"""Why a row is left out whose answers are called equally good."""


def columns(table: Table) -> dict[str, str]:
    """The columns of two answers and of which is better, by role; empty where a table has not these three."""
    sides = _sides(table)
    if not sides:
        return {}
    flags = {table.plain[name]: name for name in table.names if table.plain[name].startswith("winner ")}
    for plain_name, name in flags.items():
        found = {"first": sides[0], "second": sides[1], "winner": name}
        if (named := _NAME.fullmatch(plain_name)) and named[2] == _end(sides[0]) and _tells(table, found):
            return found
    for role, known in (("strength", _STRENGTH), ("winner", _WINNER)):
        for name in table.names:
            found = {"first": sides[0], "second": sides[1], role: name}
            if table.plain[name] in known and name not in sides and _tells(table, found):
                return found
    return {}


def better(values: Mapping[str, Any], roles: Mapping[str, str]) -> tuple[str, str] | None:
    """The columns of the better and of the worse answer of a row; None for a tie. Raises Unusable for anything else."""
    first, second = roles["first"], roles["second"]
    if (column := roles.get("strength")) is not None:
        strength = _number(values.get(column))
        if strength is None:
            raise Unusable(f"wrong type: the preference is {kind_of(values.get(column))}, not a number", column)
        return None if strength == 0 else (first, second) if strength < 0 else (second, first)
    column = roles["winner"]
    if (flag := _NAME.fullmatch(plain(column))) and flag[1].startswith("winner"):
        return _flagged(values, (first, second), flag[1], column)
    said = re.split(r"[\W_]+", str(values.get(column)).strip().lower())
    if values.get(column) is None or _TIE.intersection(said):
        return None
    models = {plain(name): str(value).strip() for name, value in values.items()}
    told = [side for side in (first, second) if said[-1] in (_end(side), side.lower())] or [
        side for side in (first, second) if models.get(f"model {_end(side)}") == str(values[column]).strip()
    ]
    if len(told) != 1:
        raise Unusable(f"not known which answer is better: {str(values.get(column))[:40]!r} names neither", column)
    return (first, second) if told[0] == first else (second, first)


def _flagged(values: Mapping[str, Any], sides: tuple[str, str], stem: str, column: str) -> tuple[str, str] | None:
    """The same by a column of yes and no for each answer: `winner_model_a`, `winner_model_b`."""
    said = {plain(name): str(value).strip().lower() in ("1", "1.0", "true", "yes") for name, value in values.items()}
    won = [said.get(f"{stem} {_end(side)}") for side in sides]
    if None in won or all(won):
        raise Unusable("not known which answer is better: the columns of both do not say it", column)
    return None if not any(won) else sides if won[0] else (sides[1], sides[0])


def _end(name: str) -> str:
    found = _NAME.fullmatch(plain(name))
    return found[2] if found else ""


def _sides(table: Table) -> tuple[str, str] | None:
    named = {(found[1], found[2]): name for name in table.names if (found := _NAME.fullmatch(table.plain[name]))}
    for (stem, end), name in named.items():
        for one, two in SIDES:
            if end == one and _ANSWERS.intersection(stem.split()) and (other := named.get((stem, two))):
                return name, other
    return None


def _tells(table: Table, roles: Mapping[str, str]) -> bool:
    """Whether every row says which answer is better, or that none is, and some row that one is."""
    if (column := roles.get("strength")) is not None and not table.share(column, lambda value: (_number(value) or 0) < 0):
        return False  # without a number below 0 it is not told what 1 means
    try:
        return any([better(row.values, roles) for row in table.rows])
    except Unusable:
        return False


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None
