"""The promise: at most a given share of all questions is answered locally and wrong, at a given level of confidence.

Thresholds are a fixed grid, tested from the safest on: each test asks whether so few answers would be local and wrong if the
risk were higher than promised (exact binomial). The first that fails ends the tests, so that none of the error probability
is spent on the number of thresholds (fixed-sequence testing; Angelopoulos et al., "Learn then test", 2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
"""One number per question."""

GRID = tuple(float(1 - 10 ** (-4 + 4 * step / 80)) for step in range(81))
"""Thresholds on a signal, safest first: from 0.9999 down to 0, close together where signals are high."""

LEVEL = 0.95
"""How sure the promise is. At 0.9 it held on unseen rows, which are a sample as well, in 84 to 96 of 100 splits of 320 recorded
questions; at 0.95 in 94 to 100."""

NEVER = 2.0
"""A threshold no signal reaches: every question is escalated."""


@dataclass(frozen=True)
class Threshold:
    """A signal's value from which an answer stays local, and what it is known to hold.

    rows: questions it was tested on, of which `local` stayed local, `wrong` of them wrong. upper: the bound on the share of
    all questions answered locally and wrong, at the level of confidence of the promise.
    """

    value: float
    rows: int
    local: int
    wrong: int
    upper: float

    @property
    def useful(self) -> bool:
        """Some questions stay local."""
        return self.value < NEVER and self.local > 0


def rows_needed(risk: float, level: float) -> int:
    """The fewest questions that can prove a risk at a level: all local answers right."""
    return math.ceil(math.log(1 - level) / math.log(1 - risk))


def find_threshold(values: Column, right: Column, risk: float, level: float = LEVEL) -> Threshold:
    """The lowest threshold proven to keep the risk; `NEVER` if not even the safest is.

    values: the signal; right: 1 for a right answer. risk: the share of all questions that may be local and wrong.
    """
    rows, best = len(values), Threshold(NEVER, len(values), 0, 0, upper_bound(0, len(values), level))
    for value in GRID:
        local = values >= value
        wrong = int((local & (right <= 0.5)).sum())
        if binomial_cdf(wrong, rows, risk) > 1 - level:
            break
        best = Threshold(value, rows, int(local.sum()), wrong, upper_bound(wrong, rows, level))
    return best


def binomial_cdf(most: int, rows: int, share: float) -> float:
    """P(at most `most` of `rows`), each with probability `share`."""
    if share <= 0 or most >= rows:
        return 1.0
    if share >= 1:
        return 0.0
    logs = [
        math.lgamma(rows + 1) - math.lgamma(k + 1) - math.lgamma(rows - k + 1) + k * math.log(share)
        + (rows - k) * math.log1p(-share)
        for k in range(most + 1)
    ]  # fmt: skip
    return min(1.0, math.fsum(math.exp(log) for log in logs))


def upper_bound(count: int, rows: int, level: float) -> float:
    """The one-sided exact upper bound on a share of which `count` of `rows` were seen (Clopper & Pearson 1934)."""
    return _crossing(lambda share: binomial_cdf(count, rows, share) <= 1 - level) if count < rows else 1.0


def interval(count: int, rows: int, level: float = 0.95) -> tuple[float, float]:
    """The two-sided exact interval of a share."""
    one_side = 1 - (1 - level) / 2
    return (0.0 if not count else 1 - upper_bound(rows - count, rows, one_side)), upper_bound(count, rows, one_side)


def _crossing(reached: Callable[[float], bool]) -> float:
    """Where a predicate over 0 to 1 turns true."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
