"""Calibration: which signal, which confidence, which threshold, from questions whose right answers are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from studio.cascade import isotonic, risk, signals
from studio.cascade.isotonic import Isotonic
from studio.cascade.risk import Column, Threshold
from studio.core.records import Record
from studio.core.text import count, plural

Kind = Literal["held-out", "fresh", "out-of-scope"]
"""Where a question comes from: like the training rows, newly worded, or one the small model cannot know."""

FEW = 100
"""Questions below which a calibration is provisional."""

RARE = 0.1
"""Share of a kind of question below which its risk is hardly tested."""


class Row(Record):
    """One question as the small model answered it."""

    label: ClassVar[str] = "calibration row"
    remedy: ClassVar[str] = "Calibrate again: studio cascade calibrate."

    question: str
    reference: str
    """Empty where no answer is right."""
    answer: str
    right: bool
    kind: Kind
    signals: dict[str, float]
    tokens: int
    """Written by the small model."""
    seconds: float
    file: str = ""
    line: int = 0


class Calibration(Record):
    """What was found: from `threshold.value` of `signal` on, an answer stays local."""

    signal: str
    auroc: dict[str, float]
    """How well each signal tells right answers from wrong ones."""
    confidence: Isotonic
    threshold: Threshold
    risk: float
    """The promise: at most this share of all questions is answered locally and wrong."""
    level: float
    """Of the promise: it holds with this probability over the draw of the calibration rows."""
    kinds: dict[str, int]
    error: float
    """Expected calibration error of the confidence, each answer left out of its own calibration (5 parts)."""
    values: tuple[float, ...]
    """Quantiles of the signal over the calibration rows, 0 to 100 %: what drift is measured against."""
    share_local: tuple[float, float, float]
    """Share of questions answered locally, with its exact 95 % interval."""

    @property
    def provisional(self) -> bool:
        """Too few rows to rely on it."""
        return self.threshold.rows < FEW

    def is_local(self, values: Column) -> np.ndarray:
        """Whether answers with these values of the signal stay local."""
        return values >= self.threshold.value

    @property
    def promise(self) -> str:
        """The promise as a sentence, without its full stop."""
        return (
            f"at most {self.risk:.1%} of all questions are answered locally and wrong, with {self.level:.0%} confidence "
            f"({self.threshold.wrong} of {count(self.threshold.rows)} on calibration rows)"
        )


def calibrate(rows: Sequence[Row], risk_target: float, level: float = risk.LEVEL) -> Calibration:
    """Choose the signal by AUROC, calibrate it and find its threshold."""
    right = np.array([row.right for row in rows], dtype=np.float64)
    columns = {name: np.array([row.signals[name] for row in rows]) for name in signals.SIGNALS}
    name, ranking = signals.choose(columns, right)
    values = columns[name]
    threshold = risk.find_threshold(values, right, risk_target, level)
    low, high = risk.interval(threshold.local, len(rows))
    return Calibration(
        signal=name,
        auroc=ranking,
        confidence=isotonic.fit(values, right),
        threshold=threshold,
        risk=risk_target,
        level=level,
        kinds={kind: sum(row.kind == kind for row in rows) for kind in ("held-out", "fresh", "out-of-scope")},
        error=_error(values, right),
        values=tuple(float(value) for value in np.percentile(values, np.arange(0, 101, 5))),
        share_local=(threshold.local / len(rows), low, high),
    )


def warnings(calibration: Calibration) -> list[str]:
    """What a reader must know before believing the promise, as clauses."""
    rows, kinds, said = calibration.threshold.rows, calibration.kinds, []
    needed = risk.rows_needed(calibration.risk, calibration.level)
    if rows < needed:
        said.append(
            f"{calibration.risk:.1%} at {calibration.level:.0%} confidence takes at least {count(needed)} questions, and there "
            f"are {count(rows)}: everything is escalated"
        )
    elif not calibration.threshold.useful:
        said.append(f"no threshold keeps the risk below {calibration.risk:.1%} on these questions: everything is escalated")
    if calibration.provisional:
        said.append(f"provisional: {plural(rows, 'question')}, below {FEW}")
    if kinds["fresh"] < RARE * rows:
        said.append(
            f"{_few(kinds['fresh'], 'fresh wording')}: the promise holds only for questions worded like the training "
            "rows; in use, expect more wrong answers. Add newly worded questions (fresh), e.g. by the recipe paraphrases"
        )
    if kinds["out-of-scope"] < RARE * rows:
        said.append(
            f"{_few(kinds['out-of-scope'], 'out-of-scope question')}: nothing shows whether the model is unsure when it "
            "cannot know the answer. Add questions about other subjects and things that do not exist (out of scope), e.g. by "
            "the recipe unanswerable"
        )
    if (auroc := calibration.auroc[calibration.signal]) < 0.7:
        said.append(f"the best signal hardly separates right answers from wrong ones (AUROC {auroc:.2f})")
    return said


def _few(rows: int, what: str) -> str:
    return f"no {what}s among the calibration rows" if not rows else f"only {plural(rows, what)} among the calibration rows"


def _error(values: Column, right: Column, parts: int = 5) -> float:
    """The calibration error where each part is predicted by the others."""
    confidence = np.zeros(len(values))
    places = np.random.default_rng(0).permutation(len(values))
    for part in np.array_split(places, min(parts, len(values))):
        rest = np.setdiff1d(places, part)
        confidence[part] = isotonic.fit(values[rest], right[rest])(values[part]) if len(rest) else right.mean()
    return isotonic.calibration_error(confidence, right)
