"""What every export of a run is asked: held-out conversations, and all that the run's evidence is made of, again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from studio.evaluation.report import Report
from studio.evaluation.sets import question_sets
from studio.export.verification import evidence
from studio.export.verification.probe import Probe, spread
from studio.models import pruning
from studio.runs.folder import RunFolder
from studio.runs.rows import held_out_rows, training_rows
from studio.spec import ResolvedSpec

if TYPE_CHECKING:
    from studio.models.tokens import Tokenizer


def export_probe(folder: RunFolder, spec: ResolvedSpec, tokenizer: Tokenizer, report: Report | None, home: Path) -> Probe:
    """The probe of a run's exports. report: its evidence; None where it has none."""
    held_out = held_out_rows(folder)
    if report is None:
        return Probe(spread(held_out))
    unseen, train_on = report.unseen, spec.data.train_on
    rows = training_rows(folder) if unseen and unseen.folds else held_out
    sets = question_sets([], spec.evaluation, spec.data, pruning.base_of(spec.model.name), home, cross_validated=True)
    general = evidence.select_general(report, {item.name: item.rows for item in sets}, tokenizer, train_on)
    return Probe(spread(held_out), evidence.select_rows(report, rows, tokenizer, train_on), tuple(general))
