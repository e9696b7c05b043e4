"""JSON as programs write it: strict, but for the NaN and Infinity that Python's and JavaScript's number types have."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import orjson

from studio.data.readers.facts import Facts

_NO_NUMBERS = (b"NaN", b"Infinity")
TWICE = "a key stands twice: "
REMARK = "It holds NaN or Infinity, which JSON does not have: read as missing values."


def loads(text: bytes, facts: Facts) -> Any:
    """The value; NaN and Infinity in it are null, with a remark. Raises orjson.JSONDecodeError for what is broken otherwise."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        if not any(word in text for word in _NO_NUMBERS):
            raise
        try:
            value = json.loads(text, parse_constant=lambda _: None)
        except ValueError:
            raise problem from None
    if REMARK not in facts.remarks:
        facts.remarks.append(REMARK)
    return value


def twice_named(text: bytes) -> str:
    """Why an object cannot be used of which a key stands twice, so that one of its values would be lost; else nothing."""
    twice: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(items)
        if len(values) < len(items):
            twice.extend(key for key, count in Counter(key for key, _ in items).items() if count > 1)
        return values

    try:
        json.loads(text, object_pairs_hook=pairs)
    except ValueError:
        return ""
    return f"{TWICE}`{twice[0][:40]}`" if twice else ""
