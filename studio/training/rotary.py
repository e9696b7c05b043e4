"""Rotary embeddings of queries and keys as one kernel each, in place of transformers' five passes. Import this module late.

transformers has a function for them in the file of each model, which its attention calls by name; that name is bound to the
kernel while a model trains, and to the function again afterwards. Which functions turn halves of a head's width against each
other, (a, b) -> (a cos - b sin, b cos + a sin), is not decided by names but by what they give.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch.autograd.function import once_differentiable

NAME = "apply_rotary_pos_emb"
"""What transformers calls the function."""


@dataclass
class Rotary:
    """The functions that are replaced, by the module they belong to: `undo` puts them back."""

    functions: dict[ModuleType, Callable[..., Any]] = field(default_factory=dict)

    def undo(self) -> None:
        """The models' own functions again."""
        for module, own in self.functions.items():
            setattr(module, NAME, own)
        self.functions.clear()


class _Rotated(torch.autograd.Function):
    """Queries or keys [batch, heads, tokens, width], turned by cos and sin [batch, tokens, width]."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, kernels: ModuleType) -> Any:
        ctx.save_for_backward(cos, sin)
        ctx.kernels = kernels
        return kernels.rotated(x, cos, sin, back=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return ctx.kernels.rotated(slopes[0], *ctx.saved_tensors, back=True), None, None, None


def fuse(model: torch.nn.Module, kernels: ModuleType) -> Rotary:
    """Let the rotary embeddings of a model be computed by `kernels` (`studio.training.kernels`)."""
    rotary = Rotary()
    for module in {sys.modules[type(part).__module__] for part in model.modules()}:
        own = getattr(module, NAME, None)
        if own is not None and _gives_the_formula(own):
            rotary.functions[module] = own
            setattr(module, NAME, _by_kernel(own, kernels))
    return rotary


def _by_kernel(own: Callable[..., Any], kernels: ModuleType) -> Callable[..., Any]:
    def rotate(q: torch.Tensor, k: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *more: object, **named: object) -> Any:
        if more or named or not all(_fit(x, cos) and _fit(x, sin) for x in (q, k)):
            return own(q, k, cos, sin, *more, **named)
        return _Rotated.apply(q, cos, sin, kernels), _Rotated.apply(k, cos, sin, kernels)

    return rotate


def _fit(x: torch.Tensor, turned: torch.Tensor) -> bool:
    """Whether the kernel takes them: the whole width of each head is turned, and lies together in memory."""
    alike = x.dim() == 4 and turned.dim() == 3 and x.dtype == turned.dtype and x.shape[-1] == turned.shape[-1]
    return alike and turned.shape[0] in (1, x.shape[0]) and x.stride(-1) == turned.stride(-1) == 1


def _gives_the_formula(own: Callable[..., Any]) -> bool:
    generator = torch.Generator().manual_seed(0)
    q, k, cos, sin = (torch.randn(size, generator=generator) for size in ((1, 3, 4, 8), (1, 2, 4, 8), (1, 4, 8), (1, 4, 8)))
    try:
        with torch.no_grad():
            found = own(q, k, cos, sin)
        return all(torch.equal(turned, _formula(x, cos, sin)) for x, turned in zip((q, k), found, strict=True))
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError):
        return False


def _formula(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return x * cos.unsqueeze(1) + torch.cat((-second, first), -1) * sin.unsqueeze(1)
