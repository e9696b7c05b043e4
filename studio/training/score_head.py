"""The head of a reward model: one number for a sequence, from the hidden state of its last token.

It is the `score` layer that transformers' sequence classification models have, so an adapter folder with it loads there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

NAME = "score"
"""The head's attribute on the base model."""
KEY = "base_model.model.score.weight"
"""Its weights in the adapter folder."""


def add(base: Any, seed: int) -> None:
    """Put a new head on the base: fp32, random by the seed, trainable."""
    import torch

    config = base.config.get_text_config()
    head = torch.nn.Linear(config.hidden_size, 1, bias=False, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.normal_(0.0, getattr(config, "initializer_range", 0.02), generator=generator)
    base.add_module(NAME, head.to(base.device))


def remove(base: nn.Module) -> None:
    """Take the head off again, if there is one."""
    if NAME in base._modules:
        del base._modules[NAME]


def of(model: Any) -> Any:
    """The head of a base or a PeftModel; None if it has none."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return base._modules.get(NAME)


def values(base: nn.Module, hidden: torch.Tensor, ends: torch.Tensor) -> Any:
    """The scores of sequences, fp32 [sequences]. hidden: [rows, tokens, size]; ends: flat positions of their last tokens."""
    import torch

    picked = hidden.reshape(-1, hidden.shape[-1]).index_select(0, ends)
    with torch.autocast(hidden.device.type, enabled=False):
        return of(base)(picked.float()).squeeze(-1)
