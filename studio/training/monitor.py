"""What happens between two steps: report, evaluate, save, stop."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from studio.core import events
from studio.core.errors import Stopped
from studio.tracking.reporter import Reporter
from studio.training import checkpoints, guards
from studio.training.batches import Batch
from studio.training.checkpoints import Progress, Writer
from studio.training.schedule import steps_per_epoch

if TYPE_CHECKING:
    from studio.training.loss_model import LossModel
    from studio.training.optimizer import OptimizerStep

REPORTS = 5_000
"""A run of more steps reports only every so many of them."""
READ_EVERY = {"cpu": 0.0, "cuda": 0.5}
"""Seconds between two readings of what the device computed. Each reading waits for the device and leaves it idle."""


class Step(NamedTuple):
    """A step that was computed. figures: its loss, the norm of its gradient, the method's own, all still on the device."""

    number: int
    figures: dict[str, Any]
    rate: float
    trained: int
    tokens: int
    """Of the run so far."""


class StepMonitor:
    """Follows a run: reports each step, measures the held-out loss when due, saves checkpoints, stops when asked or done."""

    def __init__(
        self,
        loss_model: LossModel,
        optimizer: OptimizerStep,
        steps: int,
        reporter: Reporter,
        progress: Progress,
        held_out_loss: Callable[[Reporter], tuple[float, dict[str, float]]],
    ) -> None:
        self.held_out_loss = held_out_loss
        self.loss_model, self.optimizer, self.steps = loss_model, optimizer, steps
        self.reporter, self.progress = reporter, progress
        self.job, self.training = loss_model.job, loss_model.job.training
        self.held_out = self.job.held_out if self.job.held_out is not None and self.job.held_out.trained else None
        self.saved = progress.step
        self.clock = self.step_began = time.perf_counter()
        self.busy, self.tokens = 0.0, 0
        """Seconds computed and tokens trained since the last reading."""
        self.unread: list[Step] = []
        self.read_at = 0.0
        self.writer = Writer(self.training.async_checkpoints)

    def begin(self) -> None:
        """Before the first step: measure the base model, or what a stopped run still owed."""
        self.clock = time.perf_counter()
        if self.reporter.should_stop():
            raise Stopped
        self._measure_if_due()

    def step_begins(self) -> None:
        """Start the step's clock."""
        self.step_began = time.perf_counter()

    def step_ends(self, step: int, batch: Batch, figures: dict[str, Any], rate: float) -> None:
        """Report, evaluate, save, stop. figures: `loss`, `grad_norm` and the method's, scalars still on the device."""
        tokens = self.progress.tokens + batch.tokens
        self.busy, self.tokens = self.busy + time.perf_counter() - self.step_began, self.tokens + batch.tokens
        self.progress = replace(self._timed(), step=step, tokens=tokens)
        self.unread.append(Step(step, figures, rate, batch.trained, tokens))
        self.reporter.progress(step, self.steps, "step")
        if step == 1 or time.perf_counter() - self.read_at >= READ_EVERY[self.job.device]:
            self.read()
        self._report_saved(self.writer.done())
        best = self.progress.best_step
        self._measure_if_due()
        improved = self.progress.best_step != best and self.training.keep == "best"
        if improved or self.progress.stopped_early or self._due(self.training.save_every):
            self.save()
        if self.finished:
            self.read()
        elif self.reporter.should_stop():
            self.stop()

    def read(self) -> None:
        """Read the steps computed since the last reading: check that they are sound, and report them."""
        if not self.unread:
            return
        import torch

        began, steps, self.unread = time.perf_counter(), self.unread, []
        numbers = torch.stack([torch.as_tensor(value) for step in steps for value in step.figures.values()]).tolist()
        self.read_at = time.perf_counter()
        self.busy += self.read_at - began
        rate = self.tokens / max(self.busy, 1e-9)
        values = iter(numbers)
        for step in steps:
            figures = dict(zip(step.figures, values, strict=False))
            loss, norm = figures["loss"], figures["grad_norm"]
            guards.check_loss(loss, step.number, 0 if self.training.method.generates else step.trained)
            if self.job.dtype != "fp16":
                guards.check_gradient(norm, step.number)
            guards.check_sampler_gap(figures.get("sampler_gap", 0.0), f"in step {step.number}")
            self.progress = replace(self.progress, train_loss=loss)
            if step.number % max(1, self.steps // REPORTS) == 0 or step.number >= self.steps:
                self._report(step, figures, rate)
        self.busy, self.tokens = 0.0, 0

    def _report(self, step: Step, figures: dict[str, float], rate: float) -> None:
        self.reporter.metrics(
            step.number,
            **{name: value for name, value in figures.items() if math.isfinite(value)},  # of a step that fp16 skipped, no norm
            lr=step.rate,
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
        self._report_saved(self.writer.wait())
        self.progress = self._timed()
        write = checkpoints.snapshot(self.job.checkpoints, self.progress, self.loss_model.model, self.optimizer.state_dict())
        self.writer.begin(self.progress.step, write)
        self.saved = self.progress.step
        if not self.writer.background:
            self.end()

    def end(self) -> None:
        """Wait for the last checkpoint. Raises HardwareError if it could not be written."""
        self._report_saved(self.writer.wait())

    def _report_saved(self, step: int | None) -> None:
        if step is not None:
            self.reporter.event(events.CheckpointSaved(step=step))

    def stop(self) -> None:
        """Save what is needed to go on, and raise Stopped."""
        if self.progress.step:
            self.save()
        self.end()
        raise Stopped

    def _due(self, every: int) -> bool:
        return self.progress.step % every == 0

    def _measure_if_due(self) -> None:
        """The held-out loss at step 0, every `eval_every` steps and at the end, unless it is known already."""
        step = self.progress.step
        due = step == 0 or step >= self.steps or self._due(self.training.eval_every)
        if self.held_out is None or not due or self.progress.evaluated >= step:
            return
        self.read()
        try:
            loss, figures = self.held_out_loss(self.reporter)
        except Stopped:
            self.stop()
            return
        guards.check_held_out_loss(loss, step)
        self.progress = self._timed().after_evaluation(loss)
        held_out = {f"eval_{name}": value for name, value in figures.items()}
        self.reporter.metrics(step, eval_loss=loss, **held_out, epoch=self._epoch(step), tokens=self.progress.tokens)
        if self.job.on_evaluation:
            with self.loss_model.answering() as model:
                self.job.on_evaluation(step, model)
        if step and self.progress.best_step == step:
            self.reporter.event(events.BestLoss(step=step, eval_loss=loss))
        patience = self.training.early_stopping
        if isinstance(patience, int) and self.progress.worse >= patience:
            self.progress = replace(self.progress, stopped_early=True)
            self.reporter.event(events.EarlyStop(step=step, best_step=self.progress.best_step))

    def _epoch(self, step: int) -> float:
        return step / steps_per_epoch(self.job.rows, self.training.batch_size)

    def _timed(self) -> Progress:
        now = time.perf_counter()
        elapsed, self.clock = now - self.clock, now
        return replace(self.progress, seconds=self.progress.seconds + elapsed)


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
