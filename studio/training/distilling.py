"""The divergence of a student from its teacher's cached words. This module subclasses torch classes: import it late.

The teacher's distribution at a token is its `k` likeliest words and one bucket for all others, the tail. The student's is
taken over the same buckets. As in `head`, the gradient of the hidden states is made at once from each chunk's probabilities.
With `g_b = dL / d log q_b` for each bucket, `dL / d logit_v = g_b(v) * q_v / q_b(v) - q_v * sum(g)`, where b(v) is v's bucket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from studio.hardware.memory import LOGITS_PER_CHUNK
from studio.training.head import LogitTransform, logits_of

if TYPE_CHECKING:
    from torch import nn

LEAST = 1e-12
"""Probability below which a bucket counts as empty."""


class Mix(NamedTuple):
    """Which divergence, and how much the true labels count beside it. beta: 0 forward KL, 1 reverse KL, else JSD."""

    beta: float
    hard: float


def divergence(teacher: torch.Tensor, student: torch.Tensor, beta: float) -> tuple[Any, Any]:
    """The divergence of log probabilities over buckets [tokens, buckets], and its derivative by the student's.

    KL(teacher | student) for beta 0, KL(student | teacher) for 1, else beta KL(teacher | m) + (1 - beta) KL(student | m) with
    m = beta teacher + (1 - beta) student, as TRL's generalized_jsd_loss has it.
    """
    t, s = teacher.exp(), student.exp()
    if beta == 0:
        return torch.where(t > LEAST, t * (teacher - student), 0.0).sum(-1), -t
    if beta == 1:
        gap = student - teacher
        return torch.where(s > LEAST, s * gap, 0.0).sum(-1), s * gap
    mixed = (beta * t + (1 - beta) * s).clamp(min=1e-37).log()
    gap = student - mixed
    first = torch.where(t > LEAST, t * (teacher - mixed), 0.0).sum(-1)
    return beta * first + (1 - beta) * torch.where(s > LEAST, s * gap, 0.0).sum(-1), (1 - beta) * s * gap


class _Distilled(torch.autograd.Function):
    """Per token: the mixed loss (with its gradient), the divergence, -log p of the label, and whether first choices agree."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, targets: torch.Tensor, words: torch.Tensor,
        teacher: torch.Tensor, transform: LogitTransform, mix: Mix, wanted: bool,
    ) -> Any:  # fmt: skip
        found = torch.empty(4, len(hidden), dtype=torch.float32, device=hidden.device)
        gradient = torch.empty_like(hidden) if wanted else None
        step = max(16, LOGITS_PER_CHUNK.get(hidden.device.type, 1 << 24) // weight.shape[0])
        for start in range(0, len(hidden), step):
            part = slice(start, start + step)
            logits, slope = logits_of(hidden[part], weight, bias, transform)
            log_all = torch.logsumexp(logits, dim=-1, keepdim=True)
            label, chosen = targets[part].unsqueeze(1), words[part]
            found[3, part] = (logits.argmax(-1) == chosen[:, 0]).float()
            picked = logits.gather(1, chosen) - log_all
            hard = log_all - logits.gather(1, label)
            rest = logits.scatter(1, chosen, float("-inf"))
            tail = (torch.logsumexp(rest, dim=-1, keepdim=True) - log_all).clamp(min=-80.0)
            student = torch.cat([picked, tail], dim=1)
            apart, slopes = divergence(teacher[part], student, mix.beta)
            found[1, part], found[2, part] = apart, hard.squeeze(1)
            found[0, part] = (1 - mix.hard) * apart + mix.hard * found[2, part]
            if gradient is not None:
                slopes = slopes * (1 - mix.hard)
                probabilities = logits.sub_(log_all).exp_()
                share = slopes[:, -1:] / tail.exp()
                excess = probabilities * (share - slopes.sum(-1, keepdim=True))
                excess.scatter_add_(1, chosen, slopes[:, :-1] - picked.exp() * share)
                if mix.hard:
                    excess.add_(probabilities, alpha=mix.hard)
                    excess.scatter_add_(1, label, excess.new_full((), -mix.hard).expand(label.shape))
                if slope is not None:
                    excess.mul_(slope)
                gradient[part] = (excess.to(weight.dtype) @ weight).mul_(transform.scale)
        ctx.save_for_backward(*([gradient] if gradient is not None else []))
        return found

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (gradient,) = ctx.saved_tensors
        return ((gradient.float() * grads[0][0][:, None]).to(gradient.dtype), *([None] * 8))


def distilled(
    hidden: torch.Tensor,
    head: nn.Module,
    targets: torch.Tensor,
    words: torch.Tensor,
    teacher: torch.Tensor,
    transform: LogitTransform,
    mix: Mix,
) -> Any:
    """[4, positions]: mixed loss, divergence, -log p of the label, same first choice. Only the first has a gradient.

    words [positions, k] are the teacher's likeliest, teacher [positions, k + 1] their log p and that of all others.
    """
    with torch.autocast(hidden.device.type, enabled=False):
        wanted = torch.is_grad_enabled() and hidden.requires_grad
        return _Distilled.apply(hidden, head.weight, head.bias, targets, words, teacher, transform, mix, wanted)


def of_logits(
    logits: torch.Tensor, scored: torch.Tensor, targets: torch.Tensor, words: torch.Tensor, teacher: torch.Tensor, mix: Mix
) -> Any:
    """The same from full logits [rows, tokens, vocabulary], at the flat positions `scored`, with their gradient."""
    logps = torch.log_softmax(logits.reshape(-1, logits.shape[-1])[scored].float(), dim=-1)
    tail = torch.logsumexp(logps.scatter(1, words, float("-inf")), dim=-1, keepdim=True).clamp(min=-80.0)
    apart, _ = divergence(teacher, torch.cat([logps.gather(1, words), tail], dim=1), mix.beta)
    hard = -logps.gather(1, targets.unsqueeze(1)).squeeze(1)
    same = (logps.argmax(-1) == words[:, 0]).float()
    return torch.stack([(1 - mix.hard) * apart + mix.hard * hard, apart, hard, same])
