"""What a shape of export is: how it is known by its keys, and how it is opened into a row of a common layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from studio.core.plain import is_list, is_mapping


@dataclass(frozen=True)
class Shape:
    """One kind of export. remark: what is said of a file of it."""

    fits: Callable[[Mapping[str, Any]], bool]
    opened: Callable[[Mapping[str, Any]], dict[str, Any]]
    """The row in a common layout. Raises Unusable."""
    remark: str
    always: bool = False
    """Whether it is opened also where the settings name columns that the rows have as they stand: it says which rows count."""


def at(value: object, *path: str) -> Any:
    """A value inside objects, and at index 0 of lists; None where there is none."""
    for key in path:
        if is_list(value):
            value = value[0] if value else None
        value = value.get(key) if is_mapping(value) else None
    return value


def without(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The values under all other names."""
    return {name: value for name, value in values.items() if name not in names}


def has_objects(value: object) -> bool:
    """Whether a value is a list of objects."""
    return is_list(value) and bool(value) and is_mapping(value[0])
