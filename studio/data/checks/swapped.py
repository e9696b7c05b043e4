"""Question and answer in each other's place."""

from __future__ import annotations

import re
from array import array

from studio.data.checks.base import Check, CheckResult, Said, Texts
from studio.tracking.reporter import Reporter

USUAL = 0.5
"""Share of the rows whose question ends in a question mark, from which one is expected."""
RARE = 0.2
"""Share of the rows that are found at most: with more, asking back is how these answers are."""
WORDS = 4
"""Words of such an answer at least."""
_SENTENCE = re.compile(r"[.!?…。！？](?:\s|$)")
MARKS = ("?", "？", "؟")


class Swapped:
    """Notes which answers ask although their question does not."""

    def __init__(self) -> None:
        self._rows = array("I")
        self._count = self._asking = self._pairs = 0

    def add(self, said: Said) -> None:
        """Look at both ends."""
        index, self._count = self._count, self._count + 1
        if not said.question:
            return
        self._pairs += 1
        if said.question.rstrip().endswith(MARKS):
            self._asking += 1
        elif "?" not in said.question and _only_asks(said.answer) and len(said.row.messages) <= 3:
            self._rows.append(index)

    def result(self, texts: Texts, reporter: Reporter) -> CheckResult:
        """The rows, where questions usually have a question mark."""
        usual = self._asking >= USUAL * self._pairs and len(self._rows) <= RARE * self._pairs
        return CheckResult(self._rows if usual else (), lambda index: f"answer: {texts.answer(index)}")


def _only_asks(answer: str) -> bool:
    """Whether an answer is one question and nothing before it: `Of course. Which one?` asks back."""
    answer = answer.strip()
    return answer.endswith(MARKS) and answer.count(" ") >= WORDS - 1 and not _SENTENCE.search(answer[:-1])


CHECK = Check(
    "swapped",
    "warning",
    "answers ask and their questions do not, as if the two were swapped",
    "data whose questions have no question mark, and conversations of several turns",
    scan=Swapped,
)
