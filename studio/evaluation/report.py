"""The report: what was measured on which rows, as plain frozen values that are written to `evaluation/report.json`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from studio.evaluation.interval import Estimate

VerdictKind = Literal["better", "better but forgets", "no clear difference", "worse", "not measured"]


@dataclass(frozen=True)
class Compared:
    """One figure on one set: base, tuned, and the paired change tuned - base."""

    base: Estimate
    tuned: Estimate
    change: Estimate


@dataclass(frozen=True)
class Given:
    """One model's answer to one question: the text, its length, how it ended, and its scores against the reference."""

    text: str
    tokens: int
    stopped: bool
    scores: dict[str, float]
    """exact_match, normalised_match, token_f1, rouge_l (0 to 1), and loss: nats per reference token."""


@dataclass(frozen=True)
class Answered:
    """One question as base and tuned answered it. earlier counts the messages before the question."""

    question: str
    reference: str
    base: Given
    tuned: Given
    file: str = ""
    line: int = 0
    earlier: int = 0


@dataclass(frozen=True)
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

    @property
    def label(self) -> str:
        """The name as people read it: a further question file by its file name."""
        return self.name.removeprefix("also:")


@dataclass(frozen=True)
class Speed:
    """How fast one model answered here. latency: seconds for one answer on its own, median, least and most."""

    latency: float
    latency_low: float
    latency_high: float
    asked_alone: int
    tokens_per_second: float
    """Over the whole pass, many answers at once."""


@dataclass(frozen=True)
class Verdict:
    """The answer to "is it better?", in one line, with what limits it and what it suggests."""

    kind: VerdictKind
    text: str
    advice: str
    cautions: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """Base against tuned: the first set decides, the others are shown beside it."""

    sets: list[SetReport]
    verdict: Verdict
    device: str
    resamples: int
    seed: int
    speed: dict[str, Speed] = field(default_factory=dict)
    """`base` and `tuned` on the first set that was answered; tuned with its adapter beside the base, not merged."""
    version: int = 1

    def set(self, name: str) -> SetReport | None:
        """The set of that name."""
        return next((item for item in self.sets if item.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Report:
        """The report `as_dict` described, e.g. read back from `evaluation/report.json`."""
        return cls(
            **{
                **values,
                "sets": [_set(item) for item in values["sets"]],
                "verdict": Verdict(**values["verdict"]),
                "speed": {name: Speed(**item) for name, item in values.get("speed", {}).items()},
            }
        )


def _set(values: dict[str, Any]) -> SetReport:
    metrics = {
        name: Compared(**{side: Estimate(**found) for side, found in item.items()}) for name, item in values["metrics"].items()
    }
    answers = [
        Answered(**{**item, "base": Given(**item["base"]), "tuned": Given(**item["tuned"])}) for item in values["answers"]
    ]
    return SetReport(**{**values, "metrics": metrics, "answers": answers})
