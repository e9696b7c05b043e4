"""The loss over trained positions only. This module subclasses torch classes: import it late.

A plain causal model projects every position onto the vocabulary and keeps all logits for the backward pass. Here only
the positions whose next token is trained are projected, in chunks, and the gradient of the hidden states is made at
once from each chunk's probabilities: two products with the head instead of three, and never more than one chunk of
logits. It is the exact gradient, d/dh sum(-log p) = (p - onehot) W, possible because the head is frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from studio.hardware.memory import LOGITS_PER_CHUNK

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class LogitTransform:
    """How a model turns its head's product into logits: times `scale`, then softly capped at `cap`."""

    scale: float = 1.0
    cap: float | None = None


def logit_transform(config: PretrainedConfig) -> LogitTransform:
    """The scale and soft cap that a model's text config declares (Cohere, Granite, Falcon-H1, Gemma 2, ...)."""
    scale = next(
        (
            value
            for name in ("logit_scale", "output_multiplier", "lm_head_multiplier")
            if (value := getattr(config, name, None))
        ),
        None,
    )
    if scale is None and getattr(config, "logits_scaling", None):
        scale = 1 / config.logits_scaling
    return LogitTransform(float(scale or 1.0), getattr(config, "final_logit_softcapping", None))


LossKernel = Callable[[torch.Tensor, torch.Tensor, LogitTransform, bool], torch.Tensor]
"""As `studio.training.kernels.losses`."""


class _TokenLosses(torch.autograd.Function):
    """-log p(target) of each of several hidden states, with the hidden gradients made in the forward pass.

    A token's loss depends on its own hidden state only, so the backward pass is one multiplication by its own weight.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        targets: torch.Tensor,
        transform: LogitTransform,
        wanted: bool,
        at_once: LossKernel | None,
    ) -> Any:
        losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden) if wanted else None
        step = max(16, LOGITS_PER_CHUNK.get(hidden.device.type, 1 << 24) // weight.shape[0])
        for start in range(0, len(hidden), step):
            part = slice(start, start + step)
            if at_once is not None:
                product = torch.nn.functional.linear(hidden[part].to(weight.dtype), weight, bias)
                losses[part] = at_once(product, targets[part], transform, wanted)
                if gradient is not None:  # the product holds it now
                    gradient[part] = (product @ weight).mul_(transform.scale)
                continue
            logits, slope = logits_of(hidden[part], weight, bias, transform)
            wanted_tokens = targets[part].unsqueeze(1)
            log_all = torch.logsumexp(logits, dim=-1, keepdim=True)
            losses[part] = (log_all - logits.gather(1, wanted_tokens)).squeeze(1)
            if gradient is not None:
                excess = logits.sub_(log_all).exp_()
                excess.scatter_add_(1, wanted_tokens, excess.new_full((), -1.0).expand(wanted_tokens.shape))
                if slope is not None:
                    excess.mul_(slope)
                gradient[part] = (excess.to(weight.dtype) @ weight).mul_(transform.scale)
        ctx.save_for_backward(*([gradient] if gradient is not None else []))
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (gradient,) = ctx.saved_tensors
        return (gradient.float() * grads[0][:, None]).to(gradient.dtype), None, None, None, None, None, None


def logits_of(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, transform: LogitTransform) -> tuple[Any, Any]:
    """Logits in fp32, and the slope of the soft cap there (None without one)."""
    logits = torch.nn.functional.linear(hidden.to(weight.dtype), weight, bias).float()
    if transform.scale != 1.0:
        logits.mul_(transform.scale)
    if transform.cap is None:
        return logits, None
    capped = torch.tanh(logits.div_(transform.cap))
    return capped * transform.cap, 1 - capped.square()


def token_losses(
    hidden: torch.Tensor,
    head: nn.Module,
    targets: torch.Tensor,
    transform: LogitTransform,
    at_once: LossKernel | None = None,
) -> Any:
    """-log p(target) at each position, fp32 [positions]. hidden [positions, size]; head: the frozen output layer.

    at_once: a kernel that makes the losses and their gradient from a chunk's logits.
    """
    with torch.autocast(hidden.device.type, enabled=False):
        wanted = torch.is_grad_enabled() and hidden.requires_grad
        return _TokenLosses.apply(hidden, head.weight, head.bias, targets, transform, wanted, at_once)


def losses_of_logits(logits: torch.Tensor, scored: torch.Tensor, targets: torch.Tensor) -> Any:
    """The same from full logits [rows, tokens, vocabulary], at the flat positions `scored`: for checks."""
    picked = logits.reshape(-1, logits.shape[-1])[scored].float()
    return torch.nn.functional.cross_entropy(picked, targets, reduction="none")
