"""Two answers and which is better: `response_a`, `response_b` and `winner`, as annotators and arenas write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from studio.data.columns import Table, plain, words
from studio.data.notes import Unusable
from studio.data.texts import kind_of

SIDES = (("a", "b"), ("0", "1"), ("1", "2"))
"""How the names of the two columns end."""
_ANSWERS = frozenset(
    words(
        """response responses answer completion output conversation text reply candidate generation summary solution
        antwort respuesta réponse reponse risposta resposta antwoord odpowiedź ответ 回答"""
    )
)
_WINNER = frozenset(
    ("winner", "better response id", "better response", "preferred response", "preferred", "preference", "choice", "verdict",
     "chosen", "better", "best", "best response", "judgment", "human preference", "chosen response",
     "better answer", "best answer", "preferred answer", "chosen answer", "gewinner", "sieger", "besser", "bessere antwort",
     "bevorzugt", "ganador", "ganadora", "mejor", "mejor respuesta", "gagnant", "meilleure", "meilleure réponse", "vincitore",
     "migliore", "vencedor", "melhor", "melhor resposta")
)  # fmt: skip
_STRENGTH = frozenset(("overall preference", "preference strength", "preference", "preference score", "human preference"))
_NAME = re.compile(r"(.*?)(?: (?=[ab])| ?(?=[0-2]))([ab0-2])|([ab])")
"""What a column holds, and which of two it is; in plain words: `response a`, `response1`, `a`."""
_TIE = frozenset(
    words("tie ties tied both equal same neither none draw bothbad unentschieden gleich beide keine empate égalité pareggio")
)
FEW = 3
"""So many words name an answer or say that there is a tie; more are a text."""
TIE = "tie"
"""Why a row is left out whose answers are called equally good."""


def columns(table: Table) -> dict[str, str]:
    """The columns of two answers and of which is better, by role; empty where a table has not these three, or where most
    rows do not say it in a way that is known."""
    return next((found for found in _candidates(table) if _tells(table, found)), dict[str, str]())


def not_told(table: Table) -> dict[str, str]:
    """The columns of two answers and of what should tell the better one, where it tells it of too few rows, or of none."""
    if columns(table):
        return {}
    return next((found for found in _candidates(table) if _is_there(table, found)), dict[str, str]())


def _candidates(table: Table) -> Iterator[dict[str, str]]:
    sides = _sides(table)
    flags = {table.plain[name]: name for name in table.names if table.plain[name].startswith("winner ")}
    for plain_name, name in flags.items():
        if sides and (named := _NAME.fullmatch(plain_name)) and named[2] == _end(sides[0]):
            yield {"first": sides[0], "second": sides[1], "winner": name}
    for role, known in (("strength", _STRENGTH), ("winner", _WINNER)):
        for name in table.names:
            if table.plain[name] in known and (both := sides or _named_by(table, name)) and name not in both:
                yield {"first": both[0], "second": both[1], role: name}


def better(values: Mapping[str, Any], roles: Mapping[str, str]) -> tuple[str, str] | None:
    """The columns of the better and of the worse answer of a row; None for a tie. Raises Unusable for anything else."""
    first, second = roles["first"], roles["second"]
    if (column := roles.get("strength")) is not None:
        strength = _number(values.get(column))
        if strength is None:
            raise Unusable(f"wrong type: the preference is {kind_of(values.get(column))}, not a number", column)
        return None if strength == 0 else (first, second) if strength < 0 else (second, first)
    column = roles["winner"]
    if (flag := _NAME.fullmatch(plain(column))) and (flag[1] or "").startswith("winner"):
        return _flagged(values, (first, second), flag[1], column)
    said = plain(str(values.get(column)))
    if values.get(column) is None:
        return None
    if not said:
        raise Unusable("not known which answer is better: nothing says it", column)
    written, models = str(values[column]).strip().casefold(), {plain(name): value for name, value in values.items()}
    in_few = said.split() if len(said.split()) <= FEW else []
    meanings: tuple[Callable[[str], bool], ...] = (
        lambda side: written == str(values.get(side)).strip().casefold(),  # the better answer, once more
        lambda side: said == plain(str(models.get(f"model {_end(side)}", ""))),
        lambda side: said == plain(side) or in_few[-1:] == [_end(side)],
        lambda side: bool(in_few) and set(in_few) <= set(plain(side).split()),
    )
    for is_meant in meanings:
        told = [side for side in (first, second) if is_meant(side)]
        if len(told) == 1:
            return (first, second) if told[0] == first else (second, first)
    if _TIE.intersection(in_few):
        return None
    raise Unusable(f"not known which answer is better: {str(values.get(column))[:40]!r} names neither", column)


def tells(values: Mapping[str, Any], roles: Mapping[str, str]) -> bool | None:
    """Whether a row says that one answer is better; None where what it says is not known."""
    try:
        return better(values, roles) is not None
    except Unusable:
        return None


def _flagged(values: Mapping[str, Any], sides: tuple[str, str], stem: str, column: str) -> tuple[str, str] | None:
    """The same by a column of yes and no for each answer: `winner_model_a`, `winner_model_b`."""
    said = {plain(name): str(value).strip().lower() in ("1", "1.0", "true", "yes") for name, value in values.items()}
    won = [said.get(f"{stem} {_end(side)}") for side in sides]
    if None in won or all(won):
        raise Unusable("not known which answer is better: the columns of both do not say it", column)
    return None if not any(won) else sides if won[0] else (sides[1], sides[0])


def _end(name: str) -> str:
    found = _NAME.fullmatch(plain(name))
    return (found[2] or found[3]) if found else ""


def _sides(table: Table) -> tuple[str, str] | None:
    named = {(found[1] or "", _end(name)): name for name in table.names if (found := _NAME.fullmatch(table.plain[name]))}
    for (stem, end), name in named.items():
        for one, two in SIDES:
            holds_answers = _ANSWERS.intersection(stem.split()) or (not stem and ("", "c") not in named)
            if end == one and holds_answers and (other := named.get((stem, two))):
                return name, other
    return None


def _named_by(table: Table, winner: str) -> tuple[str, str] | None:
    """The two columns that the values of `winner` name, such as `gpt` for `gpt_answer`."""
    said = {plain(str(row.values.get(winner))) for row in table.rows}
    parts = [set(value.split()) for value in said if value and len(value.split()) <= FEW]
    named = [name for name in table.texts() if name != winner and any(part <= set(table.plain[name].split()) for part in parts)]
    return (named[0], named[1]) if len(named) == 2 else None


def _tells(table: Table, roles: Mapping[str, str]) -> bool:
    """Whether most rows say which answer is better, or that none is, and some row that one is."""
    if (column := roles.get("strength")) is not None and not table.share(column, lambda value: (_number(value) or 0) < 0):
        return False  # without a number below 0 it is not told what 1 means
    told = [tells(row.values, roles) for row in table.rows]
    return any(told) and told.count(None) * 2 < len(told)


def _is_there(table: Table, roles: Mapping[str, str]) -> bool:
    column = roles.get("winner") or roles["strength"]
    return any(row.values.get(column) not in (None, "") for row in table.rows)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None
