"""Answers that only repeat their question."""

from __future__ import annotations

from studio.data.checks.base import Check, Said
from studio.data.split import normal


def look(said: Said) -> str:
    """The answer, if it says what was asked and nothing else."""
    asked, answer = said.question, said.answer
    if not asked or not -4 <= len(asked) - len(answer) <= 4:
        return ""
    return answer if normal(asked) == normal(answer) else ""


CHECK = Check("echo", "warning", "answers repeat their question", "answers that repeat a part of it", look=look)
