"""Layers that are computed again for the backward pass (gradient checkpointing)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


def enable(base: PreTrainedModel, every: int, offload: bool) -> None:
    """Compute one layer of `every` again; offload: its input waits in RAM for that."""
    # not re-entrant: gradients reach the adapter without any at the input
    base.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False}, every_n_layers=every)
    if offload:
        from studio.training.offloading import LayerInputs

        function = LayerInputs().checkpoint
        for module in base.modules():
            if hasattr(module, "_gradient_checkpointing_func"):
                module.__dict__["_gradient_checkpointing_func"] = function  # as transformers sets it


@contextlib.contextmanager
def training_again(model: nn.Module) -> Iterator[None]:
    """Inside, `model` computes layers again, as it does only while it trains, and draws what it draws from the same numbers."""
    import torch

    before = model.training
    model.train()
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            torch.manual_seed(0)
            yield
    finally:
        model.train(before)
