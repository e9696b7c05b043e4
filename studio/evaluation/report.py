"""The report: what was measured on which rows, as plain frozen values that are written to `evaluation/report.json`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from studio.core.errors import EvaluationError
from studio.core.records import Record
from studio.core.text import plural
from studio.data.collected import CollectedRows
from studio.data.made_rows import MadeRows
from studio.evaluation.interval import Draws, Estimate, change, estimate, mean
from studio.evaluation.tasks.labels import Confusion
from studio.evaluation.tasks.own import NUMBER, SHARE, Own

if TYPE_CHECKING:
    from pandas import DataFrame

Score = Callable[[str, str], float | bool] | Callable[[str, str, str], float | bool]
"""A metric of one's own: `score(answer, reference)` or `score(answer, reference, question)`, larger is better."""

START = "start"
"""How the name of a set begins that is measured against the adapter the run trained further."""
HELD_OUT = "held-out"
"""The name of the set that decides the verdict."""
ALSO = "also:"
"""How the names of sets begin that are files under `evaluation.also`."""
CROSS_VALIDATED = "cross-validated"
"""The same where no rows are held out: every row, answered by a model that was not trained on it."""
SFT = "sft"
"""The same of a set that is measured against the student trained on the same rows without its teacher."""
TEACHER = "teacher"
"""The same of a set that is measured against the teacher's own answers."""
VerdictKind = Literal["better", "better but forgets", "no clear difference", "worse", "not measured"]


@dataclass(frozen=True, repr=False)
class Compared:
    """One figure on one set: base, tuned, and the paired change tuned - base."""

    base: Estimate
    tuned: Estimate
    change: Estimate

    def __repr__(self) -> str:
        return f"<Compared: {self}>"

    def __str__(self) -> str:
        interval = "" if self.change.low is None else f", 95 % interval {self.change.low:+.3g} to {self.change.high:+.3g}"
        return f"base {self.base.value:.3g}, tuned {self.tuned.value:.3g}, change {self.change.value:+.3g}{interval}"


@dataclass(frozen=True)
class ModelAnswer:
    """One model's answer to one question: the text, its length, how it ended, and its scores against the reference."""

    text: str
    tokens: int
    stopped: bool
    scores: dict[str, float]
    """exact_match, normalised_match, token_f1, rouge_l and the figures of its task (0 to 1); loss: nats a reference token."""


@dataclass(frozen=True)
class Answered:
    """One question as base and tuned answered it. earlier counts the messages before the question."""

    question: str
    reference: str
    base: ModelAnswer
    tuned: ModelAnswer
    file: str = ""
    line: int = 0
    earlier: int = 0


@dataclass(frozen=True, repr=False)
class SetReport:
    """What was found on one set of rows."""

    name: str
    rows: int
    """Rows the loss was measured on."""
    answers: list[Answered]
    """The rows that were answered, in the order of the file."""
    metrics: dict[str, Compared]
    headline: str
    """The metric the verdict reads."""
    why: str
    """Why that one."""
    max_new_tokens: int = 0
    best: list[int] = field(default_factory=list)
    """Places in `answers`: the highest scores of tuned."""
    worst: list[int] = field(default_factory=list)
    """The lowest scores of tuned."""
    changed: list[int] = field(default_factory=list)
    """The largest changes from base to tuned, either way."""
    left_out: list[str] = field(default_factory=list)
    """Rows that could not be measured, `file:line: reason` each."""
    before: str = "base"
    """What tuned is compared with: `base`; `start`, the adapter that the run trained further; `sft`, the student trained
    without its teacher; `teacher`; or `parent`, the model that a pruned or merged one was made from."""
    task: str = "text"
    """What the answers are: text, labels, json, tools, numbers, lists, code."""
    confusion: Confusion | None = None
    """Of labels: which one was answered where which was right."""
    folds: int = 0
    """Of a cross-validation: how many models answered, each the rows that it was not trained on."""

    @property
    def label(self) -> str:
        """The name as people read it: a further question file by its file name."""
        return self.name.removeprefix(f"{START}:").removeprefix(ALSO)

    def __repr__(self) -> str:
        found = self.metrics.get(self.headline)
        return f"<{self.label}: {plural(self.rows, 'row')}, {self.headline} {found or 'not measured'}>"


@dataclass(frozen=True)
class Speed:
    """How fast one model answered here. latency: seconds for one answer on its own, median, least and most."""

    latency: float
    latency_low: float
    latency_high: float
    asked_alone: int
    tokens_per_second: float
    """Over the whole pass, many answers at once."""


@dataclass(frozen=True, repr=False)
class Verdict:
    """The answer to "is it better?", in one line, with what limits it and what it suggests."""

    kind: VerdictKind
    text: str
    advice: str
    cautions: list[str] = field(default_factory=list)
    forgets: bool = False
    """Whether general skills or general text were clearly lost."""
    only_wording: bool = False
    """Whether it is better in wording and most of what it states is wrong."""

    def __repr__(self) -> str:
        return f"<Verdict: {self.kind}. {self.text}>"


class Report(Record):
    """Base against tuned: the first set decides, the others are shown beside it; `evaluation/report.json`."""

    label: ClassVar[str] = "evidence report"
    remedy: ClassVar[str] = "Make it again: studio eval RUN."

    sets: list[SetReport]
    verdict: Verdict
    device: str
    resamples: int
    seed: int
    speed: dict[str, Speed] = Field(default_factory=dict)
    """`base` and `tuned` on the first set that was answered; tuned with its adapter beside the base, not merged."""
    made_rows: dict[str, MadeRows] = Field(default_factory=dict)
    """Of the run's datasets whose rows a model wrote: which one, by which prompts, at what cost, on what terms."""
    collected_rows: dict[str, CollectedRows] = Field(default_factory=dict)
    """Of the run's datasets with rows that people made by rating and correcting answers: which and of what models."""

    def set(self, name: str) -> SetReport | None:
        """The set of that name, as in the record or as people read it; None if there is none."""
        return next((item for item in self.sets if name in (item.name, item.label)), None)

    @property
    def unseen(self) -> SetReport | None:
        """The rows that the model which answered was not trained on: those held out, or all in a cross-validation."""
        return self.set(HELD_OUT) or self.set(CROSS_VALIDATED)

    def __str__(self) -> str:
        return self.verdict.text

    def __repr__(self) -> str:
        return f"<Report: {self.verdict.text}>"

    def with_own(self, own: Own) -> Report:
        """The report with a metric of one's own on every set that was answered. Raises what the function raises."""
        sets = []
        for part in self.sets:
            if part.answers:
                found = self.score(own.function, part.name)
                is_share = all(0 <= side.value <= 1 for side in (found.base, found.tuned))
                part = replace(part, metrics={**part.metrics, f"{SHARE if is_share else NUMBER}{own.name}": found})
            sets.append(part)
        return self.model_copy(update={"sets": sets})

    def to_pandas(self) -> DataFrame:
        """Every figure as a row: set, metric, base, tuned and change, each with the ends of its 95 % interval."""
        import pandas

        rows = [
            {
                "set": part.label, "metric": name, "headline": name == part.headline, "rows": found.change.rows,
                "base": found.base.value, "base_low": found.base.low, "base_high": found.base.high,
                "tuned": found.tuned.value, "tuned_low": found.tuned.low, "tuned_high": found.tuned.high,
                "change": found.change.value, "change_low": found.change.low, "change_high": found.change.high,
            }
            for part in self.sets
            for name, found in part.metrics.items()
        ]  # fmt: skip
        return pandas.DataFrame(rows)

    def answers_frame(self) -> DataFrame:
        """Every answered row: set, question, reference, both answers, and the scores of each side."""
        import pandas

        rows = [
            {
                "set": part.label, "file": row.file, "line": row.line, "question": row.question, "reference": row.reference,
                "base": row.base.text, "tuned": row.tuned.text,
                **{f"base_{name}": value for name, value in row.base.scores.items()},
                **{f"tuned_{name}": value for name, value in row.tuned.scores.items()},
            }
            for part in self.sets
            for row in part.answers
        ]  # fmt: skip
        return pandas.DataFrame(rows)

    def score(self, function: Score, name: str = HELD_OUT) -> Compared:
        """A metric of your own over the answers of a set: base, tuned, and the paired change with its 95 % interval.

        function takes answer and reference, and the question if it has a third parameter; its mean is the figure. name: the
        set. Raises EvaluationError for a set that was not answered, and what the function raises.
        """
        part = next((item for item in self.sets if name in (item.name, item.label)), None)
        part = self.unseen if part is None and name == HELD_OUT else part
        if part is None or not part.answers:
            known = ", ".join(item.label for item in self.sets if item.answers)
            raise EvaluationError(f"the set `{name}` has no answers", hint=f"Answered: {known or 'none'}.", where="score")
        with_question = len(inspect.signature(function).parameters) > 2
        sides: list[np.ndarray] = []
        for side in ("base", "tuned"):
            values = []
            for row in part.answers:
                given = (getattr(row, side).text, row.reference, *([row.question] if with_question else []))
                try:
                    values.append(float(function(*given)))
                except Exception as error:
                    error.add_note(f"raised for the {side} model's answer to {row.question!r} ({row.file}, line {row.line})")
                    raise
            sides.append(np.array(values, dtype=np.float64))
        bounds = (0.0, 1.0) if all(((side >= 0) & (side <= 1)).all() for side in sides) else None
        base, tuned = (mean(side, bounds) for side in sides)
        draws = Draws(len(part.answers), self.resamples, self.seed)
        return Compared(estimate(base, draws), estimate(tuned, draws), change(base, tuned, draws))
