"""What a distillation is compared with: the same student, trained on the same rows in the same order without its teacher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from studio.core.events import Event
from studio.tracking.reporter import Reporter, Silent
from studio.training.fit import fit
from studio.training.job import TrainingJob
from studio.training.settings import ResolvedTraining

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

ADAPTER = "adapter"


class _Aside(Silent):
    """Tells of progress and of the wish to stop; its steps are not the run's."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def progress(self, done: float, total: float, what: str = "") -> None:
        """As the run's, with what it is about."""
        self._reporter.progress(done, total, f"{what} without the teacher")

    def event(self, event: Event) -> None:
        """Not the run's own."""

    def should_stop(self) -> bool:
        """As the run."""
        return self._reporter.should_stop()


def train(base: nn.Module, tokenizer: PreTrainedTokenizerBase, job: TrainingJob, folder: Path, reporter: Reporter) -> None:
    """Train the baseline of a distillation in `folder`, from its last checkpoint if there is one; once it is there, nothing."""
    if (folder / ADAPTER / "adapter_config.json").exists():
        return
    training = ResolvedTraining.model_validate({**job.training.model_dump(mode="json"), "method": "sft"})
    alone = replace(
        job, training=training, teacher=None, teacher_held_out=None, on_evaluation=None,
        checkpoints=folder / "checkpoints", adapter_out=folder / ADAPTER,
    )  # fmt: skip
    fit(base, tokenizer, alone, _Aside(reporter))
