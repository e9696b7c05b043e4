"""What is measured of whole parts of the data by a loss model: log p of sequences, drift, the held-out loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.errors import Stopped
from studio.tracking.reporter import Reporter
from studio.training.batches import Tokens, totals_of
from studio.training.modes import evaluating
from studio.training.reference import Mismatched, Reference

if TYPE_CHECKING:
    from studio.training.loss_model import LossModel


def logps(loss_model: LossModel, tokens: Tokens, reporter: Reporter, what: str) -> np.ndarray:
    """log p of the trained tokens of each sequence, fp32 [sequences]. Raises Stopped if asked to stop on the way."""
    found = np.zeros(len(tokens), dtype=np.float32)
    done = 0
    with evaluating(loss_model.model):
        for micro in loss_model.longest_first(tokens):
            found[micro.numbers] = loss_model.score(tokens, micro).logps.cpu().numpy()
            done += micro.rows
            reporter.progress(done, len(tokens), what)
            if reporter.should_stop():
                raise Stopped
    return found


def drift(loss_model: LossModel, tokens: Tokens, rows: Sequence[int], reference: Reference | None) -> Any:
    """How much likelier than before the answers to other prompts have become on average, at least 0; a device scalar.

    None where the method does not ask.
    """
    if reference is None or reference.mismatched is None:
        return None
    import torch

    before = reference.mismatched
    micro_batches = loss_model.batch(Mismatched(tokens), rows).micro_batches
    total = torch.zeros((), device=loss_model.job.device)
    with torch.no_grad():
        for micro in micro_batches:
            total += (loss_model.score(tokens, micro).logps - loss_model.on_device(before[micro.numbers])).sum()
    return (total / len(rows)).clamp(min=0)


def held_out_loss(loss_model: LossModel, tokens: Tokens, reporter: Reporter) -> tuple[float, dict[str, float]]:
    """The method's loss over all rows of `tokens`, and its figures. Raises Stopped if asked to stop on the way."""
    import torch

    training, reference = loss_model.job.training, loss_model.references[1]
    per_row = tokens.per_row
    what = "held-out pair" if per_row == 2 else "held-out row"
    total, done = torch.zeros((), dtype=torch.float64, device=loss_model.job.device), 0
    figures: dict[str, Any] = {}
    with evaluating(loss_model.model):
        everything = totals_of(tokens)
        moved = drift(loss_model, tokens, range(everything.rows), reference)
        for micro in loss_model.longest_first(tokens):
            loss, shares = training.method.loss(loss_model.score(tokens, micro, reference, moved), everything)
            total += loss
            for name, share in shares.items():
                figures[name] = figures.get(name, 0.0) + share
            done += micro.rows
            reporter.progress(done // per_row, len(tokens) // per_row, what)
            if reporter.should_stop():
                raise Stopped
    return total.item(), {name: float(value) for name, value in figures.items()}
