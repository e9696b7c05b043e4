"""JSON as programs write it: strict, but for the NaN and Infinity that Python's and JavaScript's number types have."""

from __future__ import annotations

import json
from typing import Any

import orjson

from studio.data.readers.facts import Facts

_NO_NUMBERS = (b"NaN", b"Infinity")
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
