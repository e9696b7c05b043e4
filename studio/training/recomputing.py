"""Layers that are computed again for the backward pass (gradient checkpointing)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

FUNCTION = "_gradient_checkpointing_func"
"""Where transformers keeps the function that a layer is checkpointed with."""


def enable(base: PreTrainedModel, every: int) -> None:
    """Compute one layer of `every` again."""
    # not re-entrant: gradients reach the adapter without any at the input
    base.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False}, every_n_layers=every)


def disable(base: PreTrainedModel) -> None:
    """Keep all activations again, and let go of what was waiting in RAM."""
    import torch

    base.disable_input_require_grads()
    base.activation_checkpointing_disable()
    if torch.cuda.is_available():
        torch.accelerator.empty_host_cache()


def function(base: PreTrainedModel) -> Callable[..., object]:
    """What the layers of `base` are checkpointed with."""
    from torch.utils.checkpoint import checkpoint

    return next((module.__dict__[FUNCTION] for module in base.modules() if FUNCTION in module.__dict__), checkpoint)


def use(base: PreTrainedModel, function: Callable[..., object]) -> None:
    """Let layers be checkpointed by `function`."""
    for module in base.modules():
        if FUNCTION in module.__dict__:
            module.__dict__[FUNCTION] = function


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
