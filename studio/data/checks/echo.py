"""Answers that only repeat their question."""

from __future__ import annotations

from studio.data.checks.base import Check
from studio.data.rows import Conversation
from studio.data.split import normal


def look(row: Conversation) -> str:
    """The answer, if it says what was asked and nothing else."""
    asked = next((turn["content"] for turn in reversed(row.prompt) if turn["role"] == "user"), "")
    return row.answer if asked and row.answer and normal(asked) == normal(row.answer) else ""


CHECK = Check("echo", "warning", "answers repeat their question", "answers that repeat a part of it", look=look)
