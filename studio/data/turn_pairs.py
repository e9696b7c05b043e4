"""Lists of which each item is a question with its answer, `[{"input": …, "output": …}]`: two turns each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from studio.core.plain import is_object
from studio.data.columns import identifies
from studio.data.notes import Notes

_ASKS = ("input", "question", "query", "instruction", "prompt", "user", "human", "q")
_ANSWERS = ("output", "answer", "response", "completion", "assistant", "gpt", "bot", "ai", "moss", "a")


def is_pair(item: Mapping[str, Any]) -> bool:
    """Whether an item asks under one of its keys and answers under another, both in words."""
    return bool(_key(item, _ASKS) and _key(item, _ANSWERS)) and "role" not in item and "from" not in item


def turns_of_pairs(raw: Sequence[Any], column: str, notes: Notes) -> Sequence[Any]:
    """The turns of a list of such items, an item's system prompt before its question; any other list as it is. Other text
    of an item is noted: it is not used."""
    if not raw or not all(is_object(item) and is_pair(item) for item in raw):
        return raw
    turns: list[dict[str, Any]] = []
    for item in raw:
        keys = {"system": "system" if item.get("system") else "", "user": _key(item, _ASKS), "assistant": _key(item, _ANSWERS)}
        for key, value in item.items():
            if key not in keys.values() and isinstance(value, str) and value.strip() and not identifies(key):
                notes.add(f"`{key}` beside the question and the answer of a turn is not used", column)
        turns += [{"role": role, "content": item[key]} for role, key in keys.items() if key]
    return turns


def _key(item: Mapping[str, Any], known: Sequence[str]) -> str:
    return next((key for key in item if key.lower() in known and isinstance(item[key], str)), "")
