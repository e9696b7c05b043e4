"""95 % intervals by the bootstrap: rows are drawn again and again, base and tuned always together.

Every figure is a ratio of sums over rows (a mean has 1 as each row's weight), so that one draw of rows serves all
figures of a set, and the change between base and tuned is taken within the same draw (paired).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]
"""One number per row."""

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval over `rows` rows. low and high are None when one row cannot say."""

    value: float
    low: float | None
    high: float | None
    rows: int

    @property
    def above_zero(self) -> bool:
        """The whole interval lies above zero."""
        return self.low is not None and self.low > 0

    @property
    def below_zero(self) -> bool:
        """The whole interval lies below zero."""
        return self.high is not None and self.high < 0


class Figure(Protocol):
    """A figure over rows that can be computed on any draw of them."""

    @property
    def value(self) -> float:
        """The figure over all rows."""
        ...

    @property
    def per_row(self) -> Column:
        """What each row has of it: where all have the same, the bootstrap says nothing."""
        ...

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The least and the greatest value a row can have, where there are such."""
        ...

    def resampled(self, draws: Draws) -> Column:
        """The figure over each draw of rows, shape (resamples,)."""
        ...


@dataclass(frozen=True)
class Ratio:
    """A figure as sums over rows: `finish(sum(top) / sum(bottom))`.

    bounds are the least and the greatest value a row can have, where there are such: (0, 1) for shares.
    """

    top: Column
    bottom: Column
    bounds: tuple[float, float] | None = None
    finish: Callable[[Column], Column] | None = None

    @property
    def value(self) -> float:
        """The figure over all rows."""
        return float(self._of(self.top.sum(keepdims=True), self.bottom.sum(keepdims=True))[0])

    @property
    def per_row(self) -> Column:
        """The ratio of each row."""
        return self.top / np.maximum(self.bottom, 1e-12)

    def resampled(self, draws: Draws) -> Column:
        """The figure over each draw of rows, shape (resamples,)."""
        return self._of(draws.sums(self.top), draws.sums(self.bottom))

    def _of(self, top: Column, bottom: Column) -> Column:
        plain = top / np.maximum(bottom, 1e-12)
        return self.finish(plain) if self.finish else plain


class Draws:
    """`resamples` draws of `rows` rows with replacement, as how often each row was drawn: (resamples, rows), seeded."""

    def __init__(self, rows: int, resamples: int, seed: int) -> None:
        self.rows, self.resamples, self.seed = rows, resamples, seed
        self._blocks = [self._block(*span) for span in self._spans()] if rows * resamples <= 1 << 24 else None

    def sums(self, column: Column) -> Column:
        """The sum of `column` over each draw, shape (resamples,); of each column of (rows, columns), (resamples, columns)."""
        blocks = self._blocks or (self._block(*span) for span in self._spans())  # too large to keep: drawn again, alike
        return np.concatenate([block @ column for block in blocks])

    def _spans(self) -> list[tuple[int, int]]:
        step = max(1, (1 << 21) // max(1, self.rows))
        return [(start, min(start + step, self.resamples)) for start in range(0, self.resamples, step)]

    def _block(self, start: int, end: int) -> NDArray[np.float64]:
        random = np.random.default_rng([self.seed, start])
        picks = random.integers(self.rows, size=(end - start, self.rows), dtype=np.int64)
        picks += np.arange(end - start)[:, None] * self.rows
        counts = np.bincount(picks.ravel(), minlength=(end - start) * self.rows)
        return counts.reshape(end - start, self.rows).astype(np.float64)


def estimate(figure: Figure, draws: Draws) -> Estimate:
    """The figure with its percentile bootstrap interval (Efron 1979)."""
    return _interval(figure.value, figure.resampled(draws), figure.per_row, figure.bounds)


def change(base: Figure, tuned: Figure, draws: Draws) -> Estimate:
    """tuned minus base with its interval, both figures taken over the same drawn rows."""
    per_row = tuned.per_row - base.per_row
    widest = base.bounds and (base.bounds[0] - base.bounds[1], base.bounds[1] - base.bounds[0])
    return _interval(tuned.value - base.value, tuned.resampled(draws) - base.resampled(draws), per_row, widest)


def rows_to_decide(estimate: Estimate) -> int | None:
    """How many rows like these would show a change of the size seen here, four times in five; None if there was none.

    The width of an interval falls with the square root of the rows. With 1.96 + 0.84 standard errors between the change and
    zero, its interval excludes zero in 80 % of the samples.
    """
    if estimate.low is None or estimate.high is None or estimate.value == 0:
        return None
    half = (estimate.high - estimate.low) / 2
    return math.ceil(estimate.rows * (half / abs(estimate.value) * (1.96 + 0.84) / 1.96) ** 2)


def mean(values: Column, bounds: tuple[float, float] | None = None) -> Ratio:
    """The plain mean over rows."""
    return Ratio(values, np.ones_like(values), bounds)


def _interval(value: float, resampled: Column, per_row: Column, bounds: tuple[float, float] | None) -> Estimate:
    rows = len(per_row)
    if bounds and np.ptp(per_row) < 1e-12:
        # Every row alike: the bootstrap would give a width of nothing. The exact binomial bound says how many rows of
        # another kind may still be out there: 1 - (0.025)^(1/n), about 3.7/n (Clopper & Pearson 1934).
        unseen = 1 - ((1 - LEVEL) / 2) ** (1 / rows)
        return Estimate(value, value - unseen * (value - bounds[0]), value + unseen * (bounds[1] - value), rows)
    if rows < 2:
        return Estimate(value, None, None, rows)
    low, high = np.percentile(resampled, [50 * (1 - LEVEL), 100 - 50 * (1 - LEVEL)])
    return Estimate(value, float(low), float(high), rows)
