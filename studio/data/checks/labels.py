"""Label balance: where the answers are a few labels, whether some are rare."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy as np

from studio.data.checks.base import Check, CheckResult, Said, Texts
from studio.data.split import digest, normal
from studio.tracking.reporter import Reporter

LABELS = 200
"""Different answers up to which they may be labels."""
WORDS = 6
"""Words of a label at most."""
ROWS = 5
"""Rows a label has at least, on average."""
RARE = 10
"""A label is rare if the most frequent one has so many times as many rows."""


class Labels:
    """Counts short answers as long as they are few."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._rows = array("Q")
        self._are_labels = True

    def add(self, said: Said) -> None:
        """Count the row's answer."""
        if not self._are_labels:
            return
        answer = normal(said.answer)
        mark = digest(answer)
        self._counts[mark] += 1
        self._rows.append(mark)
        if len(self._counts) > LABELS or len(answer) > 80 or len(answer.split()) > WORDS:
            self._are_labels = False
            self._rows = array("Q")

    def result(self, texts: Texts, reporter: Reporter) -> CheckResult:
        """The rows of rare labels."""
        counts = self._counts
        if not self._are_labels or len(counts) < 2 or counts.total() < ROWS * len(counts):
            return CheckResult(())
        largest, smallest = max(counts.values()), min(counts.values())
        rare = np.array([mark for mark, count in counts.items() if count * RARE <= largest], dtype=np.uint64)
        rows = np.flatnonzero(np.isin(np.frombuffer(self._rows, dtype=np.uint64), rare)).tolist()
        shares = np.array(list(counts.values())) / counts.total()
        effective = float(np.exp(-(shares * np.log(shares)).sum()))
        message = (
            f"rows have a rare label: of {len(counts)} labels the most frequent has {largest:,} "
            f"rows and the rarest {smallest:,}; they count as {effective:.1f} evenly used ones"
        )
        return CheckResult(rows, lambda index: f"label {texts.answer(index)!r}", message)


CHECK = Check(
    "label_balance",
    "warning",
    "rows have a rare label",
    f"labels of more than {WORDS} words, or more than {LABELS} of them",
    scan=Labels,
)
