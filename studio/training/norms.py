"""Root mean square norms as one kernel of torch's in place of transformers' six, for training on a GPU.

Which modules are such norms is not decided by names: they have one frozen vector and an epsilon, and give what the formula
gives, x / sqrt(mean(x^2) + eps) * weight. transformers rounds twice in 16 bit, after the division and after the product; the
kernel rounds once. It keeps its input as it is for the backward pass, not in 32 bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

NEAR = {"torch.float32": 1e-5, "torch.float16": 2e-3, "torch.bfloat16": 1.6e-2}
"""How far the formula may be from what a module gives, of the largest number: two roundings."""


@dataclass
class Norms:
    """The norms that are computed by the kernel: `undo` gives each its own forward back."""

    modules: list[Any] = field(default_factory=list)

    def undo(self) -> None:
        """Every module's own forward again."""
        for module in self.modules:
            module.__dict__.pop("forward", None)
        self.modules.clear()


def fuse(model: nn.Module) -> Norms:
    """Let the root mean square norms of a model be computed by one kernel each."""
    norms = Norms()
    for module, epsilon in _alike(model):
        module.forward = _one_kernel(module, epsilon)
        norms.modules.append(module)
    return norms


def _one_kernel(module: nn.Module, epsilon: float) -> Callable[..., Any]:
    import torch

    own: Callable[..., Any] = module.forward
    weight: Any = module.weight
    shape = list(weight.shape)

    def forward(x: torch.Tensor, *more: object, **named: object) -> Any:
        if more or named or x.dtype != weight.dtype:
            return own(x, *more, **named)
        return torch.ops.aten._fused_rms_norm(x, shape, weight, epsilon)[0]  # by its name autocast would make it 32 bit

    return forward


def _alike(model: nn.Module) -> Iterator[tuple[Any, float]]:
    """The modules of a model that give what the formula gives, with their epsilon."""
    for module in model.modules():
        weights = list(module.named_parameters())
        epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
        alone = [name for name, _ in weights] == ["weight"] and not list(module.buffers()) and not list(module.children())
        if not alone or not isinstance(epsilon, float) or "forward" in module.__dict__:
            continue
        weight = weights[0][1]
        if weight.dim() != 1 or weight.requires_grad or str(weight.dtype) not in NEAR:
            continue
        if _gives_the_formula(module, epsilon):
            yield module, epsilon


def _gives_the_formula(module: nn.Module, epsilon: float) -> bool:
    import torch

    weight: Any = module.weight
    x = torch.linspace(-2, 2, 3 * len(weight), device=weight.device).sin().view(1, 3, -1).to(weight.dtype)
    try:
        with torch.no_grad():
            expected = module(x).float()
            found = torch.nn.functional.rms_norm(x.float(), weight.shape, weight.float(), epsilon)
            return bool((expected - found).abs().max() <= NEAR[str(weight.dtype)] * expected.abs().max())
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except (RuntimeError, TypeError, ValueError, AttributeError):
        return False
