"""Structured output where an API has none: the schema in words, and the JSON in an answer with a fence or prose around it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL | re.IGNORECASE)


def json_in(text: str) -> Any:
    """The first JSON object or array in a text: the whole of it, within a fence, or between words. None if there is none."""
    candidates = [text.strip(), *(match[1].strip() for match in _FENCE.finditer(text))]
    for candidate in candidates:
        try:
            value = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict | list):
            return value
    decoder = json.JSONDecoder()
    for match in re.finditer(r"[{\[]", text):
        try:
            value, _ = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            return value
    return None


def in_words(schema: Mapping[str, Any]) -> str:
    """What is appended to a prompt where an API does not take the schema itself."""
    return (
        "Answer with one JSON value that matches this JSON schema, and with nothing else:\n"
        f"{json.dumps(schema, ensure_ascii=False)}"
    )
