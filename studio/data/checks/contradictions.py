"""Contradictions: rows that ask the same and whose answers have little in common."""

from __future__ import annotations

from array import array
from itertools import pairwise

import numpy as np

from studio.data.checks.base import Check, CheckResult, Said, Texts
from studio.data.near import agree
from studio.data.rows import Conversation
from studio.data.split import digest, normal
from studio.tracking.reporter import Reporter

_COMPARED = 50
"""Answers of one question that are compared with each other."""


def question_key(row: Conversation) -> int | None:
    """A hash of what a row asks, the same for rows whose answers can contradict each other; case, spacing and punctuation
    do not count. None for plain text, and for pairs and answers labelled bad: they answer otherwise on purpose.
    """
    if len(row.messages) < 2 or row.good is False or row.rejected is not None:
        return None
    *before, _ = row.messages
    return digest(normal("\n".join(str(turn.get("content") or "") for turn in before)))


class Contradictions:
    """Keeps a hash of what each row asks and of what it answers; words are compared only where a question repeats."""

    def __init__(self) -> None:
        self._asked, self._answered = array("Q"), array("Q")

    def add(self, said: Said) -> None:
        """Note question and answer of a row."""
        key = question_key(said.row)
        self._asked.append(len(self._asked) if key is None else key)  # else like no other
        self._answered.append(0 if key is None else digest(normal(said.answer)))

    def result(self, texts: Texts, reporter: Reporter) -> CheckResult:
        """All rows of every question with two answers that disagree."""
        asked, answered = (np.frombuffer(hashes, dtype=np.uint64) for hashes in (self._asked, self._answered))
        order = np.lexsort((answered, asked))
        edges = [0, *(np.flatnonzero(asked[order][1:] != asked[order][:-1]) + 1).tolist(), len(order)]
        rows: list[int] = []
        for start, stop in pairwise(edges):
            if stop - start < 2 or answered[order[start]] == answered[order[stop - 1]]:
                continue
            group = order[start:stop]
            _, first = np.unique(answered[group], return_index=True)
            answers = [texts.answer(int(group[index])) for index in first[:_COMPARED]]
            if any(not agree(one, two) for at, one in enumerate(answers) for two in answers[at + 1 :]):
                rows += group.tolist()
        return CheckResult(sorted(rows))


CHECK = Check(
    "contradictions",
    "warning",
    "rows ask what another row asks and answer otherwise",
    "questions that are the same in other words, and answers that differ in a name or in `not` alone",
    scan=Contradictions,
)
