"""sft: supervised fine-tuning. The mean of -log p(token) over the trained tokens of a batch is made smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studio.training.methods.method import Method

if TYPE_CHECKING:
    from studio.training.batches import Batch, MicroBatch
    from studio.training.loss_model import LossModel


def loss(model: LossModel, rows: MicroBatch) -> Any:
    """Sum of -log p over the trained tokens of the micro-batch."""
    return model.loss(rows)


def trained_tokens(batch: Batch) -> int:
    """The trained tokens of the batch: every token counts alike, in a short answer and in a long one."""
    return max(1, batch.trained)


METHOD = Method("sft", "supervised fine-tuning on the answers", loss, trained_tokens)
