"""How far two raters agree beyond chance: Cohen's kappa, with its interval by bootstrap over the pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from studio.evaluation.interval import LEVEL, Draws, Estimate

ENOUGH = 0.4
"""Kappa from which a judge's figures may be used; below people and it agree little more than by chance."""
PAIRS = 20
"""Pairs that a person rates before agreement means anything."""


def kappa(one: Sequence[str], other: Sequence[str], resamples: int = 1000, seed: int = 0) -> Estimate:
    """Cohen's kappa of two raters of the same pairs (Cohen 1960); 0 where both always say the same one thing."""
    names = sorted({*one, *other})
    table = np.zeros((len(one), len(names) ** 2))
    for row, (first, second) in enumerate(zip(one, other, strict=True)):
        table[row, names.index(first) * len(names) + names.index(second)] = 1
    if len(one) < 2:
        return Estimate(0.0, None, None, len(one))
    counts = np.vstack([table.sum(0), Draws(len(one), resamples, seed).sums(table)]).reshape(-1, len(names), len(names))
    total = counts.sum((1, 2))
    observed = np.trace(counts, axis1=1, axis2=2) / total
    expected = (counts.sum(2) * counts.sum(1)).sum(1) / total**2
    found = np.where(expected < 1 - 1e-12, (observed - expected) / np.maximum(1 - expected, 1e-12), 0.0)
    low, high = np.percentile(found[1:], [50 * (1 - LEVEL), 100 - 50 * (1 - LEVEL)])
    return Estimate(float(found[0]), float(low), float(high), len(one))
