"""Leakage: training rows that a held-out file asks about, exactly, nearly, or with the same long answer."""

from __future__ import annotations

from array import array

import numpy as np

from studio.data.checks.base import Check, CheckResult, Said, Texts
from studio.data.near import Signatures, near_pairs, plain
from studio.data.split import digest, normal
from studio.tracking.reporter import Reporter

WORDS = 8
"""Words from which an answer that is on both sides is a leak: the same short one answers many questions."""


class Leakage:
    """Keeps hashes of what each row asks and of long answers; questions are signed only if rows are held out."""

    def __init__(self) -> None:
        self._asked, self._answered, self._held = array("Q"), array("Q"), array("B")

    def add(self, said: Said) -> None:
        """Note what a row asks and answers."""
        asked = said.question or said.answer
        answer = normal(said.answer)
        self._asked.append(digest(normal(asked)))
        self._answered.append(digest(answer) if said.question and answer.count(" ") >= WORDS - 1 else 0)
        self._held.append(said.held_out)

    def result(self, texts: Texts, reporter: Reporter) -> CheckResult:
        """The training rows that are also on the other side."""
        held = np.frombuffer(self._held, dtype=np.uint8)
        if not held.any():
            return CheckResult(())
        asked, answered = (np.frombuffer(hashes, dtype=np.uint64) for hashes in (self._asked, self._answered))
        training = held == 0
        exact = training & np.isin(asked, asked[held == 1])
        same_answer = training & (answered != 0) & np.isin(answered, answered[held == 1]) & ~exact
        signatures = Signatures()
        for index in range(len(held)):
            signatures.add(plain(texts.question(index)))
        near = np.zeros(len(held), dtype=bool)
        other: dict[int, int] = {}
        for one, two, _ in near_pairs(signatures.table(), lambda index: plain(texts.question(index)), reporter, part=held):
            row, across = (one, two) if training[one] else (two, one)
            near[row] = True
            other.setdefault(row, across)
        near &= ~exact
        rows = np.flatnonzero(exact | near | same_answer).tolist()

        def shown(index: int) -> str:
            if exact[index]:
                return f"its question is held out: {texts.question(index)}"
            if near[index]:
                return f"{texts.question(index)} (held out: {texts.question(other[index])})"
            return f"its answer is held out: {texts.answer(index)}"

        parts = (("the same question", exact), ("nearly the same question", near), ("the same answer", same_answer & ~near))
        counts = ", ".join(f"{int(which.sum()):,} with {what}" for what, which in parts if which.any())
        return CheckResult(rows, shown, f"training rows are also in the held-out file ({counts})")


CHECK = Check(
    "leakage",
    "warning",
    "training rows are also in the held-out file",
    "questions that are the same in other words; rows held out as a share, of which near-duplicates stay on one side",
    scan=Leakage,
    across=True,
)
