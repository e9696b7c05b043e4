"""The longest row, shortened because memory is short: by as few rows as may be, and so that some memory is left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TIGHT = 0.95
"""Share of the memory budget above which a plan is tight: on unseen measurements the estimate was 5 % short in a quarter."""
DROPPED = 0.05
"""Share of the rows a shorter `data.max_length` may leave out before the plan rather says that the run does not fit."""
FOR_A_MARGIN = 0.01
"""Share of the rows that may be left out besides so that the plan is not tight."""
COMPARED = 64
"""Lengths that are looked through at most."""


def longest(rows: np.ndarray, wanted: int, filled: Callable[[int], float]) -> int:
    """The longest row below `wanted` tokens that fits, or 0. filled: the share of the memory budget that a length takes, and a
    longer one never less."""
    lengths = _lengths(rows, wanted, DROPPED)
    fits = _last(lengths, lambda length: filled(length) <= 1)
    easy = _last(lengths, lambda length: filled(length) <= TIGHT)
    lost = int(((rows > easy) & (rows <= fits)).sum())
    return easy if easy and lost <= FOR_A_MARGIN * len(rows) else fits


def fitting(rows: np.ndarray, wanted: int, filled: Callable[[int], float]) -> int:
    """The longest row below `wanted` tokens that fits, however many rows are longer; 0 if none does."""
    return _last(_lengths(rows, wanted, 1.0), lambda length: filled(length) <= 1)


def easing(rows: np.ndarray, wanted: int, filled: Callable[[int], float]) -> int:
    """The longest row below `wanted` tokens that leaves some memory, however many rows are longer; 0 if none does."""
    return _last(_lengths(rows, wanted, 1.0), lambda length: filled(length) <= TIGHT)


def _lengths(rows: np.ndarray, wanted: int, dropped: float) -> list[int]:
    """Lengths that leave out no more than this share of the rows, shortest first."""
    found = np.unique(rows)
    least = max(16, int(np.quantile(rows, 1 - dropped, method="higher")))
    between = found[(found >= least) & (found < wanted)]
    chosen = np.linspace(0, len(between) - 1, min(len(between), COMPARED)).round().astype(int)
    return [int(length) for length in between[chosen]]


def _last(lengths: list[int], fits: Callable[[int], bool]) -> int:
    """The last of the lengths that fits, by halves; 0 if none does."""
    low, high = 0, len(lengths)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if fits(lengths[middle]) else (low, middle)
    return lengths[low - 1] if low else 0
