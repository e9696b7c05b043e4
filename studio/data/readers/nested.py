"""Shapes within a row: turns as columns side by side or under numbered names, and intents with what is said and answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from studio.core.plain import is_list, is_object
from studio.data.columns import plain
from studio.data.readers.shape import without
from studio.data.turn_pairs import is_pair
from studio.data.turns import CONTENT_KEYS, ROLE_KEYS

_LISTS = frozenset(("qa", "qas", "qa pairs", "qa list", "questions", "pairs", "faq", "faqs", "question answer pairs"))
_ASKS = frozenset(("user", "human", "customer", "question", "prompt", "q"))
_ANSWERS = frozenset(("bot", "assistant", "agent", "answer", "response", "reply", "completion", "a"))
_SIDE = re.compile(rf"({'|'.join((*_ASKS, *_ANSWERS))}) ?(\d{{1,2}})")
_NUMBERED = re.compile(r"(?:(?:turn|round|message|step)_)?\d{1,4}", re.IGNORECASE)


@dataclass(frozen=True)
class Nested:
    """One such shape: how it is known by the first row, the rows of a common layout in it, and what is said of its file."""

    fits: Callable[[Mapping[str, Any]], bool]
    opened: Callable[[Mapping[str, Any]], Iterator[dict[str, Any]]]
    remark: str = ""


def shape_of(values: Mapping[str, Any]) -> Nested | None:
    """The shape that a row has within it, if any."""
    return next((shape for shape in SHAPES if shape.fits(values)), None)


def _is_columns_of_turns(value: object) -> bool:
    """Whether an object holds, for each key of a message, a list of one value a turn."""
    if not is_object(value) or len(value) < 2 or not all(is_list(inner) for inner in value.values()):
        return False
    return bool(value.keys() & {*ROLE_KEYS}) and bool(value.keys() & {*CONTENT_KEYS}) and len({*map(len, value.values())}) == 1


def _turns_by_row(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {
        name: [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
        if _is_columns_of_turns(value)
        else value
        for name, value in values.items()
    }


def _is_intent(values: Mapping[str, Any]) -> bool:
    """Whether a row lists what people may say, and what is answered to it."""
    return all(is_list(said := values.get(name)) and said and isinstance(said[0], str) for name in ("patterns", "responses"))


def _patterns(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    rest = without(values, "patterns", "responses")
    for pattern in values.get("patterns") or ():
        yield {**rest, "question": pattern, "answer": next(iter(values.get("responses") or ()), None)}


def _is_numbered(value: Any) -> bool:
    """Whether a value holds objects under numbered names: `{"turn_1": {…}, "turn_2": {…}}`."""
    return is_object(value) and bool(value) and all(_NUMBERED.fullmatch(key) and is_object(value[key]) for key in value)


def _turns_by_number(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {
        name: [value[key] for key in sorted(value, key=lambda key: int(key.rpartition("_")[2]))]
        if _is_numbered(value)
        else value
        for name, value in values.items()
    }


def _sides(values: Mapping[str, Any]) -> dict[str, str]:
    """The columns of turns that stand side by side under numbered names, in their order, with the role of each."""
    found: dict[tuple[int, int], str] = {}
    for name in values:
        if match := _SIDE.fullmatch(plain(name)):
            found[int(match[2]), match[1] in _ANSWERS] = name
    numbers = {number for number, _ in found}
    if len(numbers) < 2 or any((number, side) not in found for number in numbers for side in (False, True)):
        return {}
    return {name: "assistant" if side else "user" for (_, side), name in sorted(found.items())}


def _turns_side_by_side(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    sides = _sides(values)
    turns = [{"role": role, "content": said} for name, role in sides.items() if (said := values[name]) not in (None, "")]
    yield {**without(values, *sides), "messages": turns}


def _listed(values: Mapping[str, Any]) -> str:
    """The name under which a row lists questions with their answers, if there is one."""
    return next((name for name, value in values.items() if plain(name) in _LISTS and _are_pairs(value)), "")


def _are_pairs(value: Any) -> bool:
    return is_list(value) and bool(value) and all(is_object(item) and is_pair(item) for item in value)


def _each_pair(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    name = _listed(values)
    for item in values.get(name) or ():
        yield {**without(values, name), **item}


SHAPES = (
    Nested(
        lambda values: bool(_sides(values)),
        _turns_side_by_side,
        "Its turns stand in numbered columns side by side; read as conversations.",
    ),
    Nested(
        lambda values: bool(_listed(values)),
        _each_pair,
        "Its rows list questions with their answers; each became a row, beside what stands above them.",
    ),
    Nested(
        _is_intent, _patterns, "Its rows are intents: each pattern became a question, answered by the intent's first response."
    ),
    Nested(lambda values: any(map(_is_columns_of_turns, values.values())), _turns_by_row),
    Nested(
        lambda values: any(map(_is_numbered, values.values())),
        _turns_by_number,
        "Its turns were read in the order of their numbers.",
    ),
)
