"""Answers in which a few words go round."""

from __future__ import annotations

from studio.data.checks.base import Check, answer_of
from studio.data.rows import Conversation

WORDS = 30
"""Words an answer has at least to be looked at."""
DIFFERENT = 0.3
"""Share of its groups of three words that differ, below which a text goes round."""


def look(row: Conversation) -> str:
    """The answer, if few of its groups of three words differ."""
    spoken = answer_of(row).split()
    if len(spoken) < WORDS:
        return ""
    groups = list(zip(spoken, spoken[1:], spoken[2:], strict=False))
    return answer_of(row) if len(set(groups)) < DIFFERENT * len(groups) else ""


CHECK = Check("loops", "warning", "answers repeat the same words over and over", f"answers under {WORDS} words", look=look)
