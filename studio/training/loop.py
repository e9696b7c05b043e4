"""The training loop: every optimizer step of a run, from the first or from the one after a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from studio.training import adapters, checkpoints, measuring
from studio.training.batches import Batch, StepOrder, Tokens

if TYPE_CHECKING:
    from studio.tracking.reporter import Reporter
    from studio.training.loss_model import LossModel
    from studio.training.monitor import StepMonitor
    from studio.training.optimizer import OptimizerStep


@dataclass(frozen=True)
class StepData:
    """What one step learns from: a batch of `tokens`, and figures that were measured while it was made."""

    tokens: Tokens
    batch: Batch
    figures: dict[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """Where the batches of a run come from, and what is measured on held-out rows."""

    def step(self, number: int, rows: Sequence[int]) -> StepData:
        """What step `number` (from 1) learns from, given the rows that it is due to see."""
        ...

    def held_out_loss(self, reporter: Reporter) -> tuple[float, dict[str, float]]:
        """The loss over the held-out rows, and figures. Raises Stopped if asked to stop on the way."""
        ...


class Rows:
    """Batches of the rows as they are."""

    def __init__(self, loss_model: LossModel) -> None:
        self.loss_model = loss_model

    def step(self, number: int, rows: Sequence[int]) -> StepData:
        """The rows as one batch."""
        return StepData(self.loss_model.job.train, self.loss_model.batch(self.loss_model.job.train, rows))

    def held_out_loss(self, reporter: Reporter) -> tuple[float, dict[str, float]]:
        """The method's loss over all held-out rows."""
        job = self.loss_model.job
        assert job.held_out is not None  # or it is not asked for
        return measuring.held_out_loss(self.loss_model, job.held_out, reporter)


def resume(folder: Path, loss_model: LossModel, optimizer: OptimizerStep) -> None:
    """Put back the adapter, the optimizer and the random generators of a checkpoint, bit for bit."""
    adapters.read(loss_model.model, folder)
    optimizer.load_state_dict(checkpoints.load_state(folder))


def train(loss_model: LossModel, optimizer: OptimizerStep, monitor: StepMonitor, source: Source, steps: int) -> None:
    """Compute the steps that are left; `monitor` reports, evaluates and saves between them, and ends the run early.

    A batch is computed micro-batch by micro-batch, and every loss is divided for the whole batch, so that the size of a
    micro-batch changes memory and speed and never the result. Loss and gradient norm stay on the device: the monitor reads
    those of many steps at once.
    """
    job = loss_model.job
    loss_model.model.train()
    done = monitor.progress.step
    order = StepOrder(job.rows, job.training.batch_size, steps, job.training.seed)
    for step, rows in enumerate(order.from_step(done), done + 1):
        monitor.step_begins()
        loss_model.in_progress.step = step
        rate = optimizer.rate
        data = source.step(step, rows)
        loss, figures = _forward_and_backward(loss_model, optimizer, data)
        if data.batch.micro_batches:
            norm = optimizer.step(step)
        else:
            norm = loss
            optimizer.skip()
        monitor.step_ends(step, data.batch, {"loss": loss, "grad_norm": norm, **data.figures, **figures}, rate)
        if monitor.finished:
            return


def _forward_and_backward(loss_model: LossModel, optimizer: OptimizerStep, data: StepData) -> tuple[Any, dict[str, Any]]:
    """Add the batch's gradient to the adapter's; returns its loss by the method of the run and the method's figures.

    All are scalars on the device.
    """
    import torch

    job, reference, rows = loss_model.job, loss_model.references[0], data.batch
    total = torch.zeros((), device=job.device)
    figures: dict[str, Any] = {}
    drift = measuring.drift(loss_model, data.tokens, rows.numbers, reference)
    for micro in rows.micro_batches:
        loss, shares = job.training.method.loss(loss_model.score(data.tokens, micro, reference, drift), rows.totals)
        optimizer.backward(loss)
        total += loss.detach()
        for name, share in shares.items():
            figures[name] = figures.get(name, 0.0) + share
    loss_model.in_progress.rows = 0
    return total, figures
