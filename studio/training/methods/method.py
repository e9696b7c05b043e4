"""What a training method is: its name, and how the loss of a batch is made of the losses of its tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.training.batches import Batch, MicroBatch
    from studio.training.loss_model import LossModel


@dataclass(frozen=True)
class Method:
    """A training method. The loss of a batch is the sum of its micro-batches' losses, divided once for the whole batch, so
    that the size of a micro-batch never changes the result."""

    name: str
    """Its word in `training.method`."""
    summary: str
    """What it does, in one line, for the help of the field."""
    loss: Callable[[LossModel, MicroBatch], Any]
    """The loss of a micro-batch before division: a scalar in fp32 on the model's device, with its gradient."""
    divisor: Callable[[Batch], int]
    """What the losses of a batch are divided by, at least 1."""
