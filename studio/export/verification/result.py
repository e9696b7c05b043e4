"""The result of a verification: its checks, answers side by side, and what the conversion cost on the run's own metrics."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from studio.core.text import plural
from studio.evaluation.interval import Estimate
from studio.evaluation.judge.conversion import JudgedExport
from studio.evaluation.metrics import METRICS

FORGETTING = ("general", "general-text")
"""The sets of the run's forgetting check, by their names in its report."""
STRUCTURAL = "structure checked, not run"
"""Status of an artifact that only its own device can run."""
LOSES_SOME = "verified, loses some"
"""Status of an artifact within its limits whose answers are surely worse than those of base + adapter."""


@dataclass(frozen=True)
class Check:
    """One figure of a verification. threshold None: reported, not judged."""

    name: str
    value: bool | int | float | str
    threshold: bool | int | float | str | None
    passed: bool
    explanation: str


@dataclass(frozen=True)
class Sample:
    """One prompt answered greedily by base and adapter (`reference`) and by the artifact."""

    prompt: str
    reference: str
    artifact: str
    identical: bool
    reference_ended: bool
    artifact_ended: bool


@dataclass(frozen=True)
class Figure:
    """One metric on the same rows: base, base + adapter, the artifact, and the paired change artifact - tuned."""

    base: float
    tuned: float
    artifact: float
    change: Estimate


@dataclass(frozen=True)
class LostRow:
    """A row that the artifact answers worse than base + adapter did."""

    question: str
    reference: str
    tuned: str
    artifact: str


@dataclass(frozen=True)
class ConversionCost:
    """What an artifact scores on a set beside what base + adapter scored. max_new_tokens: the limit on an answer."""

    rows: int
    answered: int
    headline: str
    max_new_tokens: int
    sentence: str
    metrics: dict[str, Figure]
    lost: list[LostRow]
    set: str = "held-out"
    """The name of the set in the run's report."""
    forgot: list[str] = field(default_factory=list)
    """Of general questions and text: metrics by which the artifact surely knows less than base + adapter."""
    indices: list[int] = field(default_factory=list)
    """Which of the report's answers were asked again."""
    answers: list[str] = field(default_factory=list)
    """What the artifact said to them."""
    tuned_answers: list[str] = field(default_factory=list)
    """What base + adapter had said."""

    @property
    def identical(self) -> bool:
        """True if every answer of the artifact is, word for word, that of base + adapter."""
        return bool(self.answers) and self.answers == self.tuned_answers

    @property
    def surely_worse(self) -> bool:
        """True if the artifact surely lost: by the headline metric, or on general questions and text by what `forgot` names."""
        if self.set in FORGETTING:
            return bool(self.forgot)
        change = self.metrics[self.headline].change
        return change.below_zero if METRICS[self.headline].better == "higher" else change.above_zero


@dataclass(frozen=True, repr=False)
class Verification:
    """How an artifact answered against base + adapter. passed is None if it could not be run; `note` then says why."""

    passed: bool | None
    runtime: str
    checks: list[Check] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    note: str = ""
    evidence: ConversionCost | None = None
    """The run's own metrics again on the artifact; None where the run has none."""
    advice: str = ""
    """The better choice, where the artifact loses something."""
    general: list[ConversionCost] = field(default_factory=list)
    """On the artifact again: the sets under the run's `evaluation.also`, its general questions and general text."""
    judged: JudgedExport | None = None
    """What a judge found, where the run's evidence used one."""

    def __repr__(self) -> str:
        return f"<Verification: {self.status}, {plural(len(self.checks), 'check')} in {self.runtime}>"

    @property
    def status(self) -> str:
        """`verified` (no clear loss), `verified, loses some`, `failed`, `structure checked, not run` or `not verified`."""
        if self.passed is None:
            return STRUCTURAL if self.note.startswith(STRUCTURAL) else "not verified"
        if not self.passed:
            return "failed"
        return LOSES_SOME if self.loses_some else "verified"

    @property
    def loses_some(self) -> bool:
        """True if the artifact's answers are surely worse on the run's own metric, or it surely forgot."""
        return bool(self.losses)

    @property
    def sets(self) -> list[ConversionCost]:
        """What the artifact cost on each set, the one that decides first."""
        return [*([self.evidence] if self.evidence else []), *self.general]

    @property
    def losses(self) -> list[str]:
        """What it surely lost against base + adapter, set by set, as sentences without their stop."""
        judged = [self.judged.sentence] if self.judged and self.judged.surely_worse else []
        return [*(cost.sentence for cost in self.sets if cost.surely_worse), *judged]

    @property
    def holds(self) -> bool:
        """True if everything that can be checked on this machine was, and passed."""
        return self.passed or self.status == STRUCTURAL

    @property
    def statement(self) -> str:
        """What was found, in a sentence for a badge: the status with the figure that decides it."""
        if not self.sets or self.passed is False:
            return self.status
        found = "loses some" if self.loses_some else "no clear loss"
        status = "verified" if self.passed else self.status
        said = self.losses or [self.sets[0].sentence]
        return f"{status}, {found}: {'; '.join(said)}"

    def with_checks(self, *checks: Check) -> Verification:
        """The verification with further checks, which count as the others do."""
        passed = self.passed and all(check.passed for check in checks)
        return replace(self, passed=passed, checks=[*self.checks, *checks])

    def value(self, name: str) -> bool | int | float | str | None:
        """The value of the check called `name`."""
        return next((check.value for check in self.checks if check.name == name), None)


def from_checks(runtime: str, checks: list[Check], samples: list[Sample], note: str = "") -> Verification:
    """The verification these checks amount to."""
    return Verification(all(check.passed for check in checks), runtime, checks, samples, note)


def structural(runtime: str, checks: list[Check], why: str) -> Verification:
    """The verification of an artifact that cannot run here (its runtime needs another system or device): failed if a
    check of its structure failed, else neither passed nor failed: "structure checked, not run: <why>"."""
    return Verification(None if all(check.passed for check in checks) else False, runtime, checks, [], f"{STRUCTURAL}: {why}")
