"""Narrowing of plain values (JSON, YAML) whose type is not known before they are looked at."""

from __future__ import annotations

from typing import Any, TypeGuard


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it is an object; JSON's keys are texts, and so are those that YAML may have in a spec."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether it is a list."""
    return isinstance(value, list)
