"""How long an export takes: CPU seconds of its work as measured on one machine, scaled to this one by a short test."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.evaluation.report import Report

SPREAD = 1.4
"""An export may take so many times as long as is expected, or as much less: processors differ by more than one number says, and
CPU seconds grow by a third where other programs use the same cores."""
GENERAL_TOKENS = 1500
"""Tokens answered where a run has no evidence and general questions are asked."""
_REFERENCE = 6.2e-3
"""CPU seconds the test took where the work was measured: an AMD EPYC that other programs used as well, 2026-11."""


def answered_tokens(report: Report | None) -> int:
    """About how many tokens every export of a run answers: the evidence again, and what is compared token by token."""
    from studio.export.verification.evidence import LEAST, ROWS, TOKENS
    from studio.export.verification.probe import CONVERSATIONS

    if report is None:
        return GENERAL_TOKENS
    total = 0.0
    for part in report.sets:
        lengths = [answer.tuned.tokens for answer in part.answers]
        if not lengths:
            continue
        usual = sum(lengths) / len(lengths)
        rows = min(len(lengths), max(LEAST, min(ROWS, int(TOKENS / max(usual, 1)))))
        total += rows * usual + (min(len(lengths), CONVERSATIONS) * usual if part is report.unseen else 0)
    return round(total) or GENERAL_TOKENS


@lru_cache(maxsize=1)
def slowness() -> float:
    """How much longer this processor takes than the one the work was measured on: plain Python and numpy on one thread, a
    twentieth of a second of them, the best of several tries."""
    import numpy as np

    values = np.random.default_rng(0).random(40_000, dtype=np.float32)

    def once() -> float:
        begun = time.process_time()
        for _ in range(4):
            np.sort(values)
            np.exp(values).sum()
        sum(index * index % 7 for index in range(60_000))
        return time.process_time() - begun

    return min(once() for _ in range(7)) / _REFERENCE
