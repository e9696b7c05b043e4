"""Quality, cost and latency over the share of questions that is escalated, for the cascade and what it has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from studio.cascade.risk import Column
from studio.core.records import Record
from studio.evaluation.interval import Draws

GAP = 0.05
"""Difference in quality between large and small from which the share of it that is recovered means something."""


class Point(Record):
    """One share of escalated questions: quality with its 95 % interval, US dollars per 1,000 questions, seconds."""

    escalated: float
    quality: float
    low: float
    high: float
    cost: float
    p50: float
    p95: float


class Curve(Record):
    """A router from nothing escalated to everything."""

    router: str
    points: tuple[Point, ...]
    equal: float | None
    """The smallest share escalated at which its quality is that of the large model alone; None if it is never reached."""
    recovered: float | None
    """Mean share of the gap between small and large that it closes (RouteLLM's APGR); None where the gap is under 5 points."""


@dataclass(frozen=True)
class Outcomes:
    """Both models on the same questions: right (0 or 1), US dollars and seconds of each answer."""

    small_right: Column
    large_right: Column
    small_cost: Column
    large_cost: Column
    small_seconds: Column
    large_seconds: Column
    large_first: bool = False
    """The router needs no answer of the small model: an escalated question costs only the large one's time and money."""


def measure(router: str, scores: Column, outcomes: Outcomes, draws: Draws, steps: int = 20) -> Curve:
    """The curve of a router. scores: the least sure question is escalated first."""
    order = np.argsort(scores, kind="stable")
    points = []
    for step in range(steps + 1):
        escalated = np.zeros(len(order), dtype=bool)
        escalated[order[: round(step / steps * len(order))]] = True
        points.append(point(escalated, outcomes, draws))
    return Curve(router=router, points=tuple(points), equal=_equal(order, outcomes), recovered=_recovered(points, outcomes))


def point(escalated: NDArray[np.bool_], outcomes: Outcomes, draws: Draws) -> Point:
    """What comes of escalating these questions."""
    right = np.where(escalated, outcomes.large_right, outcomes.small_right)
    local = ~escalated if outcomes.large_first else np.ones_like(escalated)
    cost = outcomes.small_cost * local + outcomes.large_cost * escalated
    seconds = outcomes.small_seconds * local + outcomes.large_seconds * escalated
    low, high = np.percentile(draws.sums(right) / len(right), [2.5, 97.5])
    p50, p95 = np.percentile(seconds, [50, 95])
    return Point(
        escalated=float(escalated.mean()), quality=float(right.mean()), low=float(low), high=float(high),
        cost=float(1000 * cost.mean()), p50=float(p50), p95=float(p95),
    )  # fmt: skip


def ideal(outcomes: Outcomes) -> Column:
    """Scores of the router that knows every answer: first those only the large model gets right, last those only the small."""
    return outcomes.small_right - outcomes.large_right


def random_scores(rows: int, seed: int) -> Column:
    """Scores of a router that draws."""
    return np.random.default_rng(seed).random(rows)


def _equal(order: NDArray[np.intp], outcomes: Outcomes) -> float | None:
    gains = (outcomes.large_right - outcomes.small_right)[order]
    quality = outcomes.small_right.sum() + np.concatenate([[0.0], np.cumsum(gains)])
    reached = np.flatnonzero(quality >= outcomes.large_right.sum() - 1e-9)
    return float(reached[0] / len(order)) if len(reached) else None


def _recovered(points: Sequence[Point], outcomes: Outcomes) -> float | None:
    gap = float(outcomes.large_right.mean() - outcomes.small_right.mean())
    if gap < GAP:
        return None
    shares, quality = [item.escalated for item in points], [item.quality for item in points]
    return float((np.trapezoid(quality, shares) - outcomes.small_right.mean()) / gap)
