"""Confidence: the share of answers that are right, as a function of a signal that never falls (isotonic regression)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio.cascade.risk import Column

BINS = 10
"""Of the reliability plot and the calibration error: equally many answers in each."""


@dataclass(frozen=True)
class Isotonic:
    """Knots of the function: constant outside them, straight between them."""

    values: tuple[float, ...]
    shares: tuple[float, ...]

    def __call__(self, values: Column) -> Column:
        """The confidence at each value."""
        return np.interp(values, self.values, self.shares)


def fit(values: Column, right: Column) -> Isotonic:
    """The function that never falls and is nearest to `right` in squares, by pooling adjacent violators (Ayer et al. 1955)."""
    found, inverse = np.unique(values, return_inverse=True)
    weights = np.bincount(inverse).astype(np.float64)
    means = np.bincount(inverse, weights=right) / weights
    blocks: list[tuple[float, float, int, int]] = []  # mean, weight, first and last index
    for index, (mean, weight) in enumerate(zip(means, weights, strict=True)):
        block = (float(mean), float(weight), index, index)
        while blocks and blocks[-1][0] >= block[0]:
            before = blocks.pop()
            total = before[1] + block[1]
            block = ((before[0] * before[1] + block[0] * block[1]) / total, total, before[2], block[3])
        blocks.append(block)
    knots = {end: (float(found[end]), mean) for mean, _, first, last in blocks for end in (first, last)}
    ordered = [knots[end] for end in sorted(knots)]
    return Isotonic(tuple(value for value, _ in ordered), tuple(share for _, share in ordered))


def reliability(confidence: Column, right: Column) -> list[tuple[float, float, int]]:
    """Bins of equally many answers, least sure first: (mean confidence, share right, answers)."""
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, min(BINS, len(order))) if len(part)]
    return [(float(confidence[part].mean()), float(right[part].mean()), len(part)) for part in parts]


def calibration_error(confidence: Column, right: Column) -> float:
    """Expected calibration error: how far confidence is from the share right, over the bins (Naeini et al. 2015)."""
    bins = reliability(confidence, right)
    return sum(abs(sure - share) * rows for sure, share, rows in bins) / max(1, sum(rows for *_, rows in bins))
