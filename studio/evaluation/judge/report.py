"""What a judge found: win rate with its interval, flips, lengths, and whether any of it may be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from studio.core.records import Record
from studio.core.text import count, plural
from studio.evaluation.interval import Draws, Estimate, change, estimate, mean
from studio.evaluation.judge import agreement
from studio.evaluation.judge.questions import GRADES

Winner = Literal["tuned", "base", "tie"]

FLIPS = 0.3
"""Share of pairs whose verdict depends on the order beyond which a judge gives no verdict."""
ALIKE = 0.2
"""Share by which two answers' lengths may differ in the length-controlled win rate."""
RESAMPLES, SEED = 1000, 0


class JudgedPair(Record):
    """One question: who won in each order, and over both."""

    index: int
    """Of the answer in the set."""
    question: str
    first: Winner
    """With the tuned answer first."""
    second: Winner
    """With the tuned answer second."""
    words: tuple[int, int]
    """Of the base's and the tuned answer."""

    @property
    def flipped(self) -> bool:
        """The order changed the verdict."""
        return self.first != self.second

    @property
    def winner(self) -> Winner:
        """Who won both orders; a tie where they disagree."""
        return "tie" if self.flipped else self.first

    @property
    def alike(self) -> bool:
        """Both answers are about as long."""
        return abs(self.words[0] - self.words[1]) <= ALIKE * max(*self.words, 1)


class Grades(Record):
    """One question: the grades of both answers on their own, 1 to 5."""

    index: int
    base: int
    tuned: int


class JudgeReport(Record):
    """A judge's figures on the held-out answers of a run; `evaluation/judge.json`."""

    label: ClassVar[str] = "judge's report"
    remedy: ClassVar[str] = "Create it again: studio judge RUN --by JUDGE."

    judge: str
    rubric: str
    set: str
    pairs: tuple[JudgedPair, ...] = ()
    grades: tuple[Grades, ...] = ()
    invalid: int = 0
    """Questions left out because a reply held no verdict."""
    keys: dict[int, str] = Field(default_factory=dict)
    """Of the answers that were judged, by their index: it says nothing of those of another evaluation."""
    cost: float = 0.0
    """US dollars paid for it."""
    created: float = 0.0

    @property
    def win_rate(self) -> Estimate | None:
        """Share of the questions that tuned wins, ties half, with an interval by bootstrap over questions."""
        return _rate(self.pairs)

    @property
    def controlled(self) -> Estimate | None:
        """The same over the pairs that are about as long."""
        return _rate([pair for pair in self.pairs if pair.alike])

    @property
    def flips(self) -> float:
        """Share of the pairs whose verdict depended on the order."""
        return sum(pair.flipped for pair in self.pairs) / max(1, len(self.pairs))

    @property
    def grade_change(self) -> Estimate | None:
        """Mean grade of tuned minus that of base, paired."""
        if not self.grades:
            return None
        base, tuned = (
            mean(np.array([getattr(item, side) for item in self.grades], float), (1, GRADES)) for side in ("base", "tuned")
        )
        return change(base, tuned, Draws(len(self.grades), RESAMPLES, SEED))

    def kappa(self, ratings: Mapping[int, Winner]) -> Estimate | None:
        """Agreement with a person's ratings, by the index of the answer; None without a common pair."""
        both = [(pair.winner, ratings[pair.index]) for pair in self.pairs if pair.index in ratings]
        return agreement.kappa([one for one, _ in both], [other for _, other in both]) if both else None

    def doubts(self, ratings: Mapping[int, Winner]) -> list[str]:
        """Why the figures are not to be believed, as clauses; empty if they may be."""
        said = []
        if self.pairs and self.flips > FLIPS:
            said.append(
                f"the judge changed its verdict on {100 * self.flips:.0f} % of the pairs when the order changed: no verdict"
            )
        found = self.kappa(ratings)
        if found is None or found.rows < agreement.PAIRS:
            rated = found.rows if found else 0
            said.append(
                f"{count(rated)} of at least {agreement.PAIRS} pairs were rated by a person, so its reliability is unknown"
            )
        elif found.value < agreement.ENOUGH:
            said.append(
                f"it agrees with the person hardly more than by chance (kappa {found.value:.2f}, below {agreement.ENOUGH})"
            )
        if self.invalid:
            said.append(f"{plural(self.invalid, 'question')} left out: the reply contained no verdict")
        return said

    def decides(self, ratings: Mapping[int, Winner]) -> bool:
        """Whether its figures may be used in a decision."""
        found = self.kappa(ratings)
        trusted = found is not None and found.rows >= agreement.PAIRS and found.value >= agreement.ENOUGH
        return trusted and self.flips <= FLIPS

    @property
    def sentence(self) -> str:
        """The outcome as a sentence."""
        if self.grades:
            found = self.grade_change
            assert found is not None
            return f"Graded 1 to {GRADES}: tuned {_signed(found)} against base ({plural(len(self.grades), 'question')})."
        rate = self.win_rate
        if rate is None:
            return "No pair could be judged."
        if self.flips > FLIPS:
            return (
                f"No verdict: the order of the answers decided {100 * self.flips:.0f} % of {plural(len(self.pairs), 'pair')}."
            )
        tuned, base = (rate.low or 0) > 0.5, rate.high is not None and rate.high < 0.5
        clear = "Tuned is preferred" if tuned else "Base is preferred" if base else "No clear preference"
        controlled = self.controlled
        alike = f"; among answers of similar length {_share(controlled)}" if controlled else ""
        return (
            f"{clear}: tuned wins {_share(rate)} of {plural(rate.rows, 'pair')}, ties half{alike}; "
            f"the order changed {100 * self.flips:.0f} % of the verdicts."
        )


def _rate(pairs: Sequence[JudgedPair]) -> Estimate | None:
    if not pairs:
        return None
    points = {"tuned": 1.0, "tie": 0.5, "base": 0.0}
    values = np.array([points[pair.winner] for pair in pairs])
    return estimate(mean(values, (0.0, 1.0)), Draws(len(pairs), RESAMPLES, SEED))


def _share(estimate: Estimate) -> str:
    interval = (
        ""
        if estimate.low is None or estimate.high is None
        else f" (95 % interval {100 * estimate.low:.0f} % to {100 * estimate.high:.0f} %)"
    )
    return f"{100 * estimate.value:.0f} %{interval}"


def _signed(estimate: Estimate) -> str:
    interval = (
        "" if estimate.low is None or estimate.high is None else f" (95 % interval {estimate.low:+.2f} to {estimate.high:+.2f})"
    )
    return f"{estimate.value:+.2f}{interval}"
