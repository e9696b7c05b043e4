"""The cross-validation of a run: for each fold a model that is trained on the other rows as the run's own was on all.

A fold that was measured is kept, and its model is deleted: a run that was stopped goes on with the next one, and within a
fold from its last checkpoint.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core import events
from studio.core.events import Event
from studio.core.files import whole_lines, write_bytes
from studio.data import encode, replay
from studio.evaluation import folds as cross
from studio.evaluation.report import SetReport
from studio.models.loading import free_memory
from studio.runs.folder import RunFolder
from studio.runs.rows import training_rows
from studio.spec import ResolvedSpec
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.models.tokens import Tokenizer

MEASURED = "measured.json"

Fit = Callable[[encode.Tokens, Path, Reporter], Any]
"""`fit(tokens, folder, reporter)`: a model with an adapter trained on the tokens, its checkpoints and adapter in the folder."""


class OfFold:
    """The reporter of one fold: warnings and progress are passed on, the metrics of its training are not the run's."""

    def __init__(self, reporter: Reporter, what: str) -> None:
        self._reporter, self._what = reporter, what

    def event(self, event: Event) -> None:
        """Warnings only, said to be the fold's."""
        if isinstance(event, events.Warning):
            self._reporter.event(event.model_copy(update={"message": f"{self._what}: {event.message}"}))

    def metrics(self, step: int, **values: float) -> None:
        """Not the run's."""

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Passed on with the fold's name."""
        self._reporter.progress(done, total, f"{self._what}: {what}" if what else self._what)

    def should_stop(self) -> bool:
        """As the run is asked."""
        return self._reporter.should_stop()


def cross_validate(
    folder: RunFolder, spec: ResolvedSpec, tokenizer: Tokenizer, fit: Fit, max_length: int, reporter: Reporter
) -> SetReport:
    """Train and measure every fold that is not measured yet; all of them as one set. Raises StudioError, Stopped."""
    plan = cross.prepare(
        training_rows(folder), tokenizer, spec.evaluation,
        seed=spec.training.seed, train_on=spec.data.train_on, max_length=max_length, reporter=reporter,
    )  # fmt: skip
    for reason in plan.left_out:
        reporter.event(events.Warning(message=f"left out of the cross-validation: {reason}"))
    measured: list[cross.FoldRecord] = []
    for fold in range(plan.count):
        where = folder.folds / str(fold + 1)
        if not (where / MEASURED).exists():
            part = OfFold(reporter, f"fold {fold + 1} of {plan.count}")
            model = fit(_others(folder, plan.rows, fold, where, spec, tokenizer, part), where, part)
            found = plan.measure(fold, model, tokenizer, part)
            found.write(where / MEASURED)
            del model
            free_memory()
        for name in where.iterdir():  # also what was left by a process that was killed while it deleted them
            if name.name != MEASURED:
                shutil.rmtree(name) if name.is_dir() else name.unlink()
        measured.append(cross.FoldRecord.read(where / MEASURED))
    return plan.report(measured)


def _others(
    folder: RunFolder,
    of_row: list[int],
    fold: int,
    where: Path,
    spec: ResolvedSpec,
    tokenizer: Tokenizer,
    reporter: Reporter,
) -> encode.Tokens:
    """The rows of the other folds, encoded as those of the run were; general rows are mixed into every fold."""
    lines = whole_lines(folder.data / "train.jsonl")
    file = write_bytes(
        where / "train.jsonl", b"".join(line for line, of in zip(lines, of_row, strict=True) if of != fold), durable=False
    )
    tokens = encode.encode_file(
        file, tokenizer, spec.data.train_on, where / "train.tokens",
        reporter=reporter, needs=spec.training.method.needs, replay=replay.existing(folder.data),
    )  # fmt: skip
    return encode.limit(tokens, spec.data.max_length, spec.data.overlong)
