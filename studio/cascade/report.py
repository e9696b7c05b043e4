"""The report: the promise, the curve, and the costly errors, on questions that nothing of the cascade was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from studio.cascade import curve, isotonic, risk
from studio.cascade.asking import LargeRow
from studio.cascade.calibration import Row, warnings
from studio.cascade.curve import Outcomes
from studio.cascade.question_router import QuestionRouter
from studio.cascade.record import Cascade, CascadeReport, CostlyError
from studio.core.text import plural
from studio.evaluation.interval import Draws

SHOWN = 10
"""Costly errors listed."""
RESAMPLES = 1000


def report(
    cascade: Cascade,
    calibration: Sequence[Row],
    small: Sequence[Row],
    large: Sequence[LargeRow],
    small_cost_per_hour: float = 0.0,
    seed: int = 0,
) -> CascadeReport:
    """What the cascade does on these questions. small_cost_per_hour: US dollars the small model's machine costs."""
    found, rows = cascade.calibration, len(small)
    values = np.array([row.signals[found.signal] for row in small])
    right = np.array([row.right for row in small], dtype=np.float64)
    seconds = np.array([row.seconds for row in small])
    outcomes = Outcomes(
        right, np.array([row.right for row in large], dtype=np.float64),
        seconds * small_cost_per_hour / 3600, np.array([row.cost for row in large]),
        seconds, np.array([row.seconds for row in large]),
    )  # fmt: skip
    draws = Draws(rows, RESAMPLES, seed)
    local = found.is_local(values)
    confidence = found.confidence(values)
    wrong = int((local & (right < 0.5)).sum())
    at_target = curve.point(~local, outcomes, draws)
    nothing = np.zeros(rows, dtype=bool)
    alone = curve.point(~nothing, _large_first(outcomes), draws)
    local_share = (float(local.mean()), *risk.interval(int(local.sum()), rows))
    share_wrong = (wrong / rows, *risk.interval(wrong, rows))
    curves = (
        curve.measure("cascade", values, outcomes, draws),
        curve.measure("ideal", curve.ideal(outcomes), outcomes, draws),
        curve.measure("random", curve.random_scores(rows, seed), outcomes, draws),
        curve.measure("question", _by_question(calibration, small), _large_first(outcomes), draws),
    )
    kinds = {kind: sum(row.kind == kind for row in small) for kind in found.kinds}
    return CascadeReport(
        rows=rows, kinds=kinds, local=local_share, local_wrong=share_wrong, held=wrong / rows <= found.risk,
        at_target=at_target, small=curve.point(nothing, outcomes, draws), large=alone, curves=curves,
        reliability=tuple(isotonic.reliability(confidence, right)), error=isotonic.calibration_error(confidence, right),
        errors=_costly(small, confidence, local), saved=alone.cost - at_target.cost,
        warnings=tuple(warnings(found)), sentence=_sentence(cascade, local_share, share_wrong, at_target.quality, outcomes),
    )  # fmt: skip


def _sentence(
    cascade: Cascade, local: tuple[float, float, float], wrong: tuple[float, float, float], quality: float, both: Outcomes
) -> str:
    rows, target = len(both.small_right), cascade.calibration.risk
    kept = "keeps" if wrong[0] <= target else "breaks"
    return (
        f"{local[0]:.0%} of {plural(rows, 'new question')} were answered locally (95 % interval {local[1]:.0%} to "
        f"{local[2]:.0%}); {wrong[0]:.1%} of all were local and wrong ({wrong[1]:.1%} to {wrong[2]:.1%}), which {kept} the "
        f"promise of {target:.1%}. Right answers: cascade {quality:.0%}, small model alone {both.small_right.mean():.0%}, "
        f"large model alone {both.large_right.mean():.0%}"
    )


def shares(report: CascadeReport) -> str:
    """The share of questions that has to be escalated for the large model's quality, as a clause."""
    cascade = next(item for item in report.curves if item.router == "cascade")
    if cascade.equal is None:
        return "no share of escalated questions reaches the quality of the large model alone"
    return f"the quality of the large model alone is reached with {cascade.equal:.0%} of the questions escalated"


def _costly(small: Sequence[Row], confidence: np.ndarray, local: np.ndarray) -> tuple[CostlyError, ...]:
    places = [place for place in np.argsort(-confidence, kind="stable") if local[place] and not small[place].right]
    return tuple(
        CostlyError(
            question=small[place].question, reference=small[place].reference, answer=small[place].answer,
            confidence=float(confidence[place]), kind=small[place].kind,
        )
        for place in places[:SHOWN]
    )  # fmt: skip


def _by_question(calibration: Sequence[Row], small: Sequence[Row]) -> np.ndarray:
    """Scores of a router that learnt from the calibration rows which questions the small model answers right."""
    router = QuestionRouter([row.question for row in calibration], np.array([float(row.right) for row in calibration]))
    return router([row.question for row in small])


def _large_first(outcomes: Outcomes) -> Outcomes:
    """Both models where an escalated question is not put to the small one."""
    return replace(outcomes, large_first=True)
