"""What a judge and people think of a run's answers, as every page and card shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from studio.evaluation.interval import Estimate
from studio.evaluation.judge import ratings
from studio.evaluation.judge.report import JudgeReport
from studio.evaluation.report import Answered


@dataclass(frozen=True)
class Opinion:
    """What a judge and people found. report: None before a judge was asked. decides: its figures may be used."""

    report: JudgeReport | None
    kappa: Estimate | None
    rated: int
    doubts: tuple[str, ...]
    decides: bool

    @property
    def agreement(self) -> str:
        """How far judge and person agree, as a sentence; empty before both have read the same pairs."""
        kappa = self.kappa
        if kappa is None:
            return ""
        interval = "" if kappa.low is None else f" (95 % interval {kappa.low:.2f} to {kappa.high:.2f})"
        return f"Agreement with the person: Cohen's kappa {kappa.value:.2f}{interval}, {kappa.rows} pairs."


def opinion(answers: Sequence[Answered], judged: Path, rated: Path) -> Opinion:
    """What is known of these answers: judged is the judge's report, rated the file of people's ratings."""
    people = ratings.read(rated, answers)
    if not judged.exists():
        return Opinion(None, None, len(people), (), False)
    report = JudgeReport.read(judged)
    if any(index >= len(answers) or ratings.key(answers[index]) != key for index, key in report.keys.items()):
        return Opinion(None, None, len(people), ("the judge read the answers of an earlier evaluation: run it again",), False)
    return Opinion(report, report.kappa(people), len(people), tuple(report.doubts(people)), report.decides(people))
