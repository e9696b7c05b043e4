"""Paths into a row: `answers.text.0` for a value inside objects and lists, `messages[].from` for one value per element."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from studio.core.plain import is_items, is_list, is_mapping

_STEP = re.compile(r"[^.\[\]]+|\[\]|\[-?\d+\]")


def value_at(values: Mapping[str, Any], path: str) -> Any:
    """The value under a column's name, or under a path; None where nothing is there.

    Steps are parted by dots; a number (also in brackets) is an index, `[]` takes every element of a list. A JSON text
    on the way is read as what it holds.
    """
    if path in values:
        return values[path]
    if not is_path(path):
        return None
    return _follow(values, _STEP.findall(path))


def is_path(name: str) -> bool:
    """Whether a name may be a path rather than a column's plain name."""
    return "." in name or "[" in name


def root(path: str, names: Mapping[str, object] | tuple[str, ...] | list[str]) -> str:
    """The column a path begins in: the path itself if it is a column's name."""
    return path if path in names or not is_path(path) else _STEP.findall(path)[0]


def _follow(value: object, steps: list[str]) -> Any:
    for position, step in enumerate(steps):
        if isinstance(value, str):
            value = parsed(value)
        if step == "[]":
            if not is_list(value):
                return None
            return [_follow(item, steps[position + 1 :]) for item in value]
        number = step[1:-1] if step.startswith("[") else step
        if is_mapping(value):
            value = value.get(step)
        elif is_items(value) and re.fullmatch(r"-?\d+", number):
            index = int(number)
            value = value[index] if -len(value) <= index < len(value) else None
        else:
            return None
    return value


def parsed(text: str) -> Any:
    """What a JSON text holds; any other text as it is."""
    try:
        return orjson.loads(text) if text.lstrip()[:1] in ("{", "[") else text
    except orjson.JSONDecodeError:
        return text
