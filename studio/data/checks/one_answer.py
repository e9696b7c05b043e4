"""Answer concentration: one sentence that answers many different questions."""

from __future__ import annotations

from array import array

import numpy as np

from studio.data.checks.base import Check, CheckResult, Said, Texts
from studio.data.split import digest, normal
from studio.tracking.reporter import Reporter

QUESTIONS = 20
"""Different questions with one answer, from which it is a finding."""
SHARE = 0.1
"""Share of the rows that such an answer has at least."""
WORDS = 4
"""Words such an answer has at least; shorter ones are labels."""


class Concentration:
    """Keeps a hash of each question and of each answer that is a sentence."""

    def __init__(self) -> None:
        self._asked, self._answered = array("Q"), array("Q")

    def add(self, said: Said) -> None:
        """Note question and answer of a row."""
        answer = normal(said.answer) if said.question else ""
        self._answered.append(digest(answer) if answer.count(" ") >= WORDS - 1 else 0)
        self._asked.append(digest(normal(said.question)) if answer else 0)

    def result(self, texts: Texts, reporter: Reporter) -> CheckResult:
        """The rows with an answer that many questions share."""
        asked, answered = (np.frombuffer(hashes, dtype=np.uint64) for hashes in (self._asked, self._answered))
        different = np.unique(np.stack([answered, asked], axis=1), axis=0) if len(asked) else np.zeros((0, 2), np.uint64)
        answers, questions = np.unique(different[:, 0], return_counts=True)
        many = answers[(questions >= max(QUESTIONS, SHARE * len(asked))) & (answers != 0)]
        rows = np.flatnonzero(np.isin(answered, many)).tolist()
        message = f"rows share one of {len(many)} answers that many different questions have" if len(many) > 1 else ""
        return CheckResult(rows, texts.answer, message)


CHECK = Check(
    "one_answer",
    "warning",
    "rows have one and the same answer to many different questions",
    f"answers of under {WORDS} words, which are labels, and answers that are the same in other words",
    scan=Concentration,
)
