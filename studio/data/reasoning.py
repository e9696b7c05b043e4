"""Reasoning within answers, as models write it: `<think>...</think>` before what they say."""

from __future__ import annotations

from studio.data.rows import Conversation
from studio.models.turns import reasoning_of

OPENS, CLOSES = "<think>", "</think>"
"""What begins and ends the reasoning of an answer."""


def reasons_before_its_last_answer(row: Conversation) -> bool:
    """Whether an answer before the last one that is learned holds reasoning."""
    earlier = (turn for turn in row.messages[:-1] if turn["role"] == "assistant" and turn.get("train") is not False)
    return any(reasoning_of(turn) or CLOSES in str(turn.get("content") or "") for turn in earlier)
