"""Answers in which a few words go round."""

from __future__ import annotations

import re

from studio.data.checks.base import Check, Said

WORDS = 30
"""Words an answer has at least to be looked at."""
DIFFERENT = 0.3
"""Share of its groups of three words that differ, below which a text goes round."""
_UNSPACED = 60
"""Characters of a text without spaces that are looked at one by one."""


_RUN = re.compile(r"([^\s\d.=*#_|+~-])\1{14,}")
"""One sign fifteen times; rulers and dotted lines are none."""


def look(said: Said) -> str:
    """The answer, if few of its groups of three words differ, or the sign that it repeats."""
    answer = said.answer
    if run := _RUN.search(answer):
        return run[0]
    if len(answer) < 2 * WORDS:
        return ""
    spoken = answer.split()
    if len(spoken) < WORDS:
        return answer if len(answer) > _UNSPACED and _goes_round(list(answer)) else ""
    return answer if _goes_round(spoken) else ""


def _goes_round(pieces: list[str]) -> bool:
    groups = list(zip(pieces, pieces[1:], pieces[2:], strict=False))
    return len(set(groups)) < DIFFERENT * len(groups)


CHECK = Check(
    "loops",
    "warning",
    "answers repeat the same words over and over",
    f"answers under {WORDS} words, and the questions",
    look=look,
)
