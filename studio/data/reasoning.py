"""Reasoning within answers, as models write it: `<think>...</think>` before what they say; or beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

from studio.core.messages import ChatMessage
from studio.data.rows import Conversation
from studio.models.turns import THOUGHT, reasoning_of

OPENS, CLOSES = "<think>", "</think>"
"""What begins and ends the reasoning of an answer."""
Reasoning: TypeAlias = Literal["keep", "within", "drop"]


def reasons_before_its_last_answer(row: Conversation) -> bool:
    """Whether an answer before the last one that is learned holds reasoning."""
    earlier = (turn for turn in row.messages[:-1] if turn["role"] == "assistant" and turn.get("train") is not False)
    return any(reasoned(turn) for turn in earlier)


def reasoned(turn: ChatMessage) -> bool:
    """Whether reasoning stands beside an answer or within it."""
    return bool(reasoning_of(turn) or CLOSES in str(turn.get("content") or ""))


def with_reasoning(row: Conversation, how: Reasoning) -> Conversation:
    """The row with the reasoning of its answers where it is wanted; `keep` leaves it where the data have it."""
    if how == "keep" or not row.messages:
        return row
    rejected = row.rejected and _placed(row.rejected, how)
    return replace(row, messages=tuple(_placed(turn, how) for turn in row.messages), rejected=rejected)


def _placed(turn: ChatMessage, how: Reasoning) -> ChatMessage:
    if turn["role"] != "assistant":
        return turn
    thought, content = reasoning_of(turn), turn["content"]
    shown = turn.copy()
    shown.pop("reasoning_content", None)
    if how == "within":
        shown["content"] = f"{OPENS}\n{thought.strip()}\n{CLOSES}\n\n{content}" if thought else content
    elif found := THOUGHT.match(content):
        shown["content"] = content[found.end() :]
    return shown
