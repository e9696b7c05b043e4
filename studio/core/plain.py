"""Narrowing of plain values (JSON, YAML) whose type is not known before they are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it is an object; JSON's keys are texts, and so are those that YAML may have in a spec."""
    return isinstance(value, dict)


def type_name(value: object) -> str:
    """How a message calls what was given: its type, and of other libraries also the package, e.g. `pandas.Series`."""
    package = type(value).__module__.partition(".")[0]
    return type(value).__name__ if package == "builtins" else f"{package}.{type(value).__name__}"


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a list."""
    return isinstance(value, list)


def is_items(value: object) -> TypeGuard[Sequence[Any]]:
    """Whether it is a list or a tuple."""
    return isinstance(value, (list, tuple))


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether it is any mapping, as a caller in Python or a reader of tables may give one."""
    return isinstance(value, Mapping)


def object_or_empty(value: object) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one: what follows a field that others leave out or fill otherwise."""
    return value if is_object(value) else {}
