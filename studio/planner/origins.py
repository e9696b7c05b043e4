"""Where the rows of a run come from, for its plan and its evidence."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from studio.data.settings import Data
from studio.evaluation import more_rows
from studio.evaluation.more_rows import HeldOutFrom
from studio.evaluation.report import Report
from studio.runs.records import RunLock


def held_out_from(data: Data, by_teacher: Container[str]) -> HeldOutFrom:
    """Where held-out rows come from; a share of rows that a teacher made is the teacher's, too. by_teacher: datasets that
    a teacher made."""
    if isinstance(data.holdout, str):
        return "teacher" if data.holdout in by_teacher else "own"
    return "teacher" if any(name in by_teacher for name in data.files) else "share"


def with_origins(report: Report, data: Data, lock: Path) -> Report:
    """The report with where the run's rows come from, and what would make more evidence of such rows. lock: the run's."""
    record = RunLock.read(lock)
    if said := more_rows.caution(report, held_out_from(data, record.made)):
        report.verdict.cautions.append(said)
    return report.model_copy(update={"made_rows": record.made, "collected_rows": record.collected})
