"""A section that may be written as its word alone."""

from __future__ import annotations

from typing import Any


def from_word(value: object) -> Any:
    """A word alone means the section of that kind with its default settings."""
    return {"kind": value} if isinstance(value, str) else value
