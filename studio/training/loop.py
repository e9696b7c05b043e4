"""The training loop: every optimizer step of a run, from the first or from the one after a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.training import adapters, checkpoints
from studio.training.batches import Batch, StepOrder, batch

if TYPE_CHECKING:
    from studio.training.loss_model import LossModel
    from studio.training.monitor import StepMonitor
    from studio.training.optimizer import OptimizerStep


def resume(folder: Path, loss_model: LossModel, optimizer: OptimizerStep) -> None:
    """Put back the adapter, the optimizer and the random generators of a checkpoint, bit for bit."""
    adapters.read(loss_model.model, folder)
    optimizer.load_state_dict(checkpoints.load_state(folder))


def train(loss_model: LossModel, optimizer: OptimizerStep, monitor: StepMonitor, steps: int) -> None:
    """Compute the steps that are left; `monitor` reports, evaluates and saves between them, and ends the run early.

    A batch is computed micro-batch by micro-batch, and every loss is divided for the whole batch, so that the size of a
    micro-batch changes memory and speed and never the result. Loss and gradient norm stay on the device: the monitor reads
    those of many steps at once.
    """
    loss_model.model.train()
    done = monitor.progress.step
    for step, rows in enumerate(_batches(loss_model, done, steps), done + 1):
        monitor.step_begins()
        loss_model.in_progress.step = step
        rate = optimizer.rate
        loss, figures = _forward_and_backward(loss_model, optimizer, rows)
        norm = optimizer.step(step)
        monitor.step_ends(step, rows, {"loss": loss, "grad_norm": norm, **figures}, rate)
        if monitor.finished:
            return


def _batches(loss_model: LossModel, done: int, steps: int) -> Iterator[Batch]:
    """The batches after the first `done`, in the order that the seed decides."""
    job, training = loss_model.job, loss_model.job.training
    order = StepOrder(job.rows, training.batch_size, steps, training.seed)
    for rows in order.from_step(done):
        yield batch(job.train, rows, training.micro_batch, job.max_length, loss_model.packed, loss_model.pad)


def _forward_and_backward(loss_model: LossModel, optimizer: OptimizerStep, rows: Batch) -> tuple[Any, dict[str, Any]]:
    """Add the batch's gradient to the adapter's; returns its loss by the method of the run and the method's figures.

    All are scalars on the device.
    """
    import torch

    job, reference = loss_model.job, loss_model.references[0]
    total = torch.zeros((), device=job.device)
    figures: dict[str, Any] = {}
    drift = loss_model.drift(job.train, rows.numbers, reference)
    for micro in rows.micro_batches:
        loss, shares = job.training.method.loss(loss_model.score(job.train, micro, reference, drift), rows.totals)
        optimizer.backward(loss)
        total += loss.detach()
        for name, share in shares.items():
            figures[name] = figures.get(name, 0.0) + share
    loss_model.in_progress.rows = 0
    return total, figures
