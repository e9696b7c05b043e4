"""What a judge finds of an export: its answers against those of base + adapter to the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from studio.core.records import Record
from studio.core.text import plural
from studio.evaluation.interval import Draws, Estimate, estimate, mean
from studio.evaluation.judge.report import FLIPS, RESAMPLES, SEED, JudgeReport

UNRATED = "whether people agree with this judge is not known: rate the run's pairs on the page Rate"


class JudgedExport(Record):
    """A judge's verdicts on an export; in its manifest. Equal answers are ties without asking."""

    label: ClassVar[str] = "judge's verdict on an export"
    remedy: ClassVar[str] = "Create it again: studio judge RUN:EXPORT --by JUDGE."

    judge: str
    rows: int
    """Questions that both answered and that could be judged, the equal answers among them."""
    worse: int
    """Answers that lost against those of base + adapter, in both orders."""
    better: int
    flips: float
    """Share of the pairs whose verdict depended on the order."""
    judged: int
    """Pairs that were put to the judge: the answers that differ."""
    invalid: int = 0
    doubts: tuple[str, ...] = ()
    """Why its figures decide nothing; empty where they may."""
    cost: float = 0.0
    """US dollars paid for it."""

    @property
    def net(self) -> Estimate:
        """Share of better answers less that of worse ones, with its interval by bootstrap over all questions."""
        values = np.array([1.0] * self.better + [-1.0] * self.worse + [0.0] * (self.rows - self.better - self.worse))
        return estimate(mean(values, (-1.0, 1.0)), Draws(len(values), RESAMPLES, SEED))

    @property
    def surely_worse(self) -> bool:
        """True if the judge may be believed and its whole interval lies on the side of base + adapter."""
        return not self.doubts and self.rows > 0 and self.net.below_zero

    @property
    def sentence(self) -> str:
        """The outcome as a sentence without its stop."""
        asked = plural(self.rows, "question")
        if self.judged and self.flips > FLIPS:
            return f"No verdict of the judge on {asked}: the order of the answers decided {100 * self.flips:.0f} % of the pairs"
        net = self.net
        interval = "" if net.low is None or net.high is None else f", 95 % interval {net.low:+.0%} to {net.high:+.0%}"
        return (
            f"Judge on {asked}: {self.worse} worse and {self.better} better than with base + adapter "
            f"({net.value:+.0%}{interval}); {self.rows - self.judged} are the same"
        )


def on_export(report: JudgeReport, equal: int, doubts: Sequence[str]) -> JudgedExport:
    """What a judge's report says of an export, whose answers stand in it as `tuned`. equal: answers that were the same as those
    of base + adapter; doubts: why the judge is not to be believed, from its agreement with people."""
    winners = [pair.winner for pair in report.pairs]
    flips = [f"the judge changed its verdict on {100 * report.flips:.0f} % of the pairs when the order changed"]
    return JudgedExport(
        judge=report.judge,
        rows=len(winners) + equal,
        worse=winners.count("base"),
        better=winners.count("tuned"),
        flips=report.flips,
        judged=len(winners),
        invalid=report.invalid,
        doubts=(*doubts, *(flips if winners and report.flips > FLIPS else [])),
        cost=report.cost,
    )
