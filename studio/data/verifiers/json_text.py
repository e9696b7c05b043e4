"""JSON in an answer: found, and compared field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from studio.core.plain import is_list, is_mapping, is_object
from studio.data.verifiers.verifier import normalised

_DECODER = json.JSONDecoder()
_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)


def whole_json(text: str) -> Any:
    """The value that a text is, a fence around it aside. Raises ValueError if it is none."""
    fenced = _FENCE.match(text)
    return json.loads(fenced.group(1) if fenced else text)


def objects(text: str) -> list[dict[str, Any]]:
    """Every JSON object in a text, outermost only, in order; those in a list one by one."""
    found: list[dict[str, Any]] = []
    start = 0
    while (at := text.find("{", start)) >= 0:
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            start = at + 1
            continue
        found += [value] if is_object(value) else []
        start = end
    return found


def fields(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every plain value below `value` with its path; texts without regard to case and white space, 3.0 as 3."""
    if is_mapping(value):
        for name, inner in value.items():
            yield from fields(inner, f"{path}.{name}")
        return
    if is_list(value):
        for inner in value:
            yield from fields(inner, f"{path}[]")
        return
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    yield path, f"text {normalised(value)}" if isinstance(value, str) else json.dumps(value)


def agreement(answer: object, expected: object) -> float:
    """F1 of the fields of both: 2 x those that agree / all fields of both together; 1 if neither has any."""
    ours, theirs = list(fields(answer)), list(fields(expected))
    if not ours and not theirs:
        return 1.0
    left, agree = list(theirs), 0
    for field in ours:
        if field in left:
            left.remove(field)
            agree += 1
    return 2 * agree / (len(ours) + len(theirs))
