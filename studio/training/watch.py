"""What happens between two steps: tell, measure, keep, stop. This module subclasses transformers' callback: import it late."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from transformers import TrainerCallback

from studio.core import events
from studio.core.errors import Stopped
from studio.tracking.reporter import Reporter
from studio.training import checkpoints, guards
from studio.training.checkpoints import Progress, Writer
from studio.training.schedule import steps_per_epoch

if TYPE_CHECKING:
    from studio.training.methods.sft import StepTrainer

REPORTS = 5_000
"""A run of more steps reports only every so many of them."""
READ_EVERY = {"cpu": 0.0, "cuda": 0.5}
"""Seconds between two looks at what the device computed. Each look waits for it, so that it then has nothing to do."""


class Step(NamedTuple):
    """A step that was computed, its loss and the norm of its gradient still on the device."""

    number: int
    loss: Any
    grad_norm: Any
    rate: float
    trained: int
    tokens: int
    """Of the run so far."""


class Watch(TrainerCallback):
    """Follows a run: reports each step, measures the held-out loss when due, keeps checkpoints, stops when asked or done."""

    def __init__(self, trainer: StepTrainer, reporter: Reporter, progress: Progress) -> None:
        self.trainer, self.reporter, self.progress = trainer, reporter, progress
        self.job, self.training = trainer.job, trainer.job.training
        self.steps = trainer.steps
        self.held_out = self.job.held_out if self.job.held_out is not None and self.job.held_out.trained else None
        self.saved = progress.step
        self.mark = self.begun = time.perf_counter()
        self.busy, self.tokens = 0.0, 0
        self.unread: list[Step] = []
        self.read_at = 0.0
        self.writer = Writer(self.training.background_saving is not False)

    def begin(self) -> None:
        """Before the first step: measure the base model, or what a stopped run still owed."""
        self.mark = time.perf_counter()
        if self.reporter.should_stop():
            raise Stopped
        self._measure_if_due()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the step's clock."""
        self.begun = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Tell, measure, keep, stop."""
        trainer, step, tokens = self.trainer, state.global_step, self.progress.tokens + self.trainer.batch.tokens
        self.busy, self.tokens = self.busy + time.perf_counter() - self.begun, self.tokens + trainer.batch.tokens
        self.progress = replace(self._timed(), step=step, tokens=tokens)
        self.unread.append(Step(step, trainer.loss, trainer.grad_norm, trainer.rate, trainer.batch.trained, tokens))
        self.reporter.progress(step, self.steps, "step")
        if step == 1 or time.perf_counter() - self.read_at >= READ_EVERY[self.job.device]:
            self.read()
        self._tell_saved(self.writer.done())
        best = self.progress.best_step
        self._measure_if_due()
        improved = self.progress.best_step != best and self.training.keep == "best"
        if improved or self.progress.stopped_early or self._due(self.training.save_every):
            self.save()
        if self.finished:
            self.read()
        if self.progress.stopped_early:
            control.should_training_stop = True
        if not self.finished and self.reporter.should_stop():
            self.stop()

    def read(self) -> None:
        """Look at the steps computed since the last look: check that they are sound, and report them."""
        if not self.unread:
            return
        import torch

        began, steps, self.unread = time.perf_counter(), self.unread, []
        numbers = torch.stack([torch.as_tensor(value) for step in steps for value in (step.loss, step.grad_norm)]).tolist()
        self.read_at = time.perf_counter()
        self.busy += self.read_at - began
        rate = self.tokens / max(self.busy, 1e-9)
        for step, loss, norm in zip(steps, numbers[::2], numbers[1::2], strict=True):
            guards.check_loss(loss, step.number, step.trained)
            if self.job.dtype != "fp16":
                guards.check_gradient(norm, step.number)
            self.progress = replace(self.progress, train_loss=loss)
            if step.number % max(1, self.steps // REPORTS) == 0 or step.number >= self.steps:
                self._tell(step, loss, norm, rate)
        self.busy, self.tokens = 0.0, 0

    def _tell(self, step: Step, loss: float, norm: float, rate: float) -> None:
        self.reporter.metrics(
            step.number,
            loss=loss,
            lr=step.rate,
            grad_norm=norm,
            tokens=step.tokens,
            tokens_per_second=rate,
            memory=memory(self.job.device),
            epoch=self._epoch(step.number),
        )

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or enough of them."""
        return self.progress.step >= self.steps or self.progress.stopped_early

    def save(self) -> None:
        """Begin to write a checkpoint of the present step, once, if all steps so far are sound."""
        if self.saved == self.progress.step:
            return
        self.read()
        self._tell_saved(self.writer.wait())
        self.progress = self._timed()
        trainer = self.trainer
        write = checkpoints.snapshot(
            self.job.checkpoints, self.progress, trainer.scorer.model, trainer.state_to_keep(), trainer.state
        )
        self.writer.begin(self.progress.step, write)
        self.saved = self.progress.step
        if not self.writer.background:
            self.end()

    def end(self) -> None:
        """Wait for the last checkpoint. Raises HardwareError if it could not be written."""
        self._tell_saved(self.writer.wait())

    def _tell_saved(self, step: int | None) -> None:
        if step is not None:
            self.reporter.event(events.CheckpointSaved(step=step))

    def stop(self) -> None:
        """Save what is needed to go on, and raise Stopped."""
        if self.progress.step:
            self.save()
        self.end()
        raise Stopped

    def _due(self, every: int | None) -> bool:
        return bool(every) and self.progress.step % (every or 1) == 0

    def _measure_if_due(self) -> None:
        """The held-out loss at step 0, every `eval_every` steps and at the end, unless it is known already."""
        step = self.progress.step
        due = step == 0 or step >= self.steps or self._due(self.training.eval_every)
        if self.held_out is None or not due or self.progress.evaluated >= step:
            return
        self.read()
        try:
            loss = self.trainer.scorer.held_out_loss(self.held_out, self.reporter)
        except Stopped:
            self.stop()
            return
        guards.check_held_out_loss(loss, step)
        self.progress = self._timed().after_evaluation(loss)
        self.reporter.metrics(step, eval_loss=loss, epoch=self._epoch(step), tokens=self.progress.tokens)
        if step and self.progress.best_step == step:
            self.reporter.event(events.BestLoss(step=step, eval_loss=loss))
        patience = self.training.early_stopping
        if isinstance(patience, int) and self.progress.worse >= patience:
            self.progress = replace(self.progress, stopped_early=True)
            self.reporter.event(events.EarlyStop(step=step, best_step=self.progress.best_step))

    def _epoch(self, step: int) -> float:
        return step / steps_per_epoch(len(self.job.train), self.training.batch_size or 1)

    def _timed(self) -> Progress:
        now = time.perf_counter()
        passed, self.mark = now - self.mark, now
        return replace(self.progress, seconds=self.progress.seconds + passed)


def memory(device: str) -> int:
    """Bytes in use: what torch holds of the GPU's memory, or this process's memory on a CPU."""
    if device == "cuda":
        import torch

        return int(torch.cuda.memory_reserved())
    import psutil

    return int(psutil.Process().memory_info().rss)


def peak_memory(device: str) -> int:
    """The most bytes there were in use: of the GPU since the run began, or of this process since it started."""
    if device == "cuda":
        import torch

        return int(torch.cuda.max_memory_reserved())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
