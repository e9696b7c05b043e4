"""What would make more evidence where few rows are held out: it depends on where the held-out rows come from."""

from __future__ import annotations

from typing import Literal

from studio.evaluation.cautions import FEW
from studio.evaluation.report import HELD_OUT, Report

SHORT_QUESTIONS = 512
"""Tokens: the evaluation leaves no row out that is shorter, however short the training rows are."""
HeldOutFrom = Literal["share", "own", "teacher"]
"""share: a share of the run's own rows; own: held-out rows that the user named; teacher: rows that a teacher made."""

_ADVICE: dict[HeldOutFrom, str] = {
    "share": "with data.holdout 0 and evaluation.folds 5, every row would be evidence",
    "own": "more held-out rows make more evidence: add some to data.holdout, or name a larger file there",
    "teacher": "more held-out documents make more evidence: raise `holdout` where the rows are made, or add documents there",
}


def advice(source: HeldOutFrom) -> str:
    """How evidence becomes more. Folds would set aside held-out rows that somebody chose, and they would train on rows of the
    same documents that they ask about."""
    return _ADVICE[source]


def caution(report: Report, source: HeldOutFrom) -> str:
    """The advice where the held-out rows of a report are few, else nothing."""
    found = report.set(HELD_OUT)
    return advice(source) if found and found.metrics[found.headline].change.rows < FEW else ""
