"""What a training method is: its settings, the rows it learns from, and how the losses of tokens make the loss of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from studio.core.section import Section
from studio.data.rows import Needs

if TYPE_CHECKING:
    import torch

    from studio.training.totals import Totals

Figures = Mapping[str, Any]
"""Figures of a micro-batch, each its share of the batch's: a scalar on the device, without gradient."""


@dataclass(frozen=True)
class Scored:
    """The sequences of a micro-batch as the model scores them, on its device and in order."""

    losses: Any
    """-log p of every trained token, fp32 [tokens], with its gradient; sequence after sequence."""
    counts: Any
    """Trained tokens of each sequence, int64 [sequences]."""
    wanted: Any = None
    """Whether a sequence's answer is a preferred one, bool [sequences]; None where answers are not labelled."""
    reference: Any = None
    """log p of each sequence's trained tokens before the first step, fp32 [sequences]; for methods that compare with it."""
    sampler_losses: Any = None
    """-log p of every trained token as the engine that sampled it had it, fp32 [tokens]; None where the model itself did."""
    advantages: Any = None
    """How much better than its group's mean each sampled answer was, fp32 [sequences]; for methods that generate."""
    reference_losses: Any = None
    """-log p of every trained token before the first step, fp32 [tokens]; for methods that compare token by token."""
    distilled: Any = None
    """Figures of each trained token beside a teacher, by name, without gradient; for methods that distil."""
    values: Any = None
    """The score of each sequence, fp32 [sequences] with its gradient; for reward models, which have no losses of tokens."""
    drift: Any = None
    """How much likelier than before mismatched answers have become on average, at least 0: an estimate of the divergence."""

    @property
    def logps(self) -> Any:
        """log p of each sequence's trained tokens together, fp32 [sequences]."""
        import torch

        return -torch.segment_reduce(self.losses, "sum", lengths=self.counts, unsafe=True)


class Method(Section, frozen=True):
    """A training method. A micro-batch gives its share of the batch's loss, so that its size never changes the result."""

    kind: str
    summary: ClassVar[str]
    """What it does, in one line."""
    needs: ClassVar[Needs] = "conversations"
    compares: ClassVar[bool] = False
    """Whether its loss looks at log p before the first step."""
    mismatches: ClassVar[bool] = False
    """Whether it looks at answers to other prompts, to see how far the model has moved altogether."""
    generates: ClassVar[bool] = False
    """Whether the model answers the rows' prompts itself in every step, and learns from those answers."""
    distils: ClassVar[bool] = False
    """Whether a teacher's words at every token are learned."""
    scores: ClassVar[bool] = False
    """Whether the model gives a sequence one number, by a head of its own, instead of words."""
    rate: ClassVar[float] = 1.0
    """The learning rate it takes, as a share of supervised fine-tuning's."""
    rate_reason: ClassVar[str] = ""
    """Why."""

    @property
    def by_vllm(self) -> bool:
        """Whether vLLM, and not the trained model itself, writes the answers it learns from."""
        return False

    @property
    def several_answers(self) -> bool:
        """Whether several answers to the same prompt are in one batch."""
        return self.needs == "pairs" or self.generates

    def loss(self, scored: Scored, totals: Totals) -> tuple[Any, Figures]:
        """The micro-batch's share of the batch's loss, a scalar in fp32 with its gradient, and its figures."""
        raise NotImplementedError


def pairs(values: torch.Tensor) -> tuple[Any, Any]:
    """Values of a micro-batch of preference pairs, apart: those of the preferred answers, those of the rejected ones."""
    return values[0::2], values[1::2]


def pair_figures(rewards: torch.Tensor, logps: torch.Tensor, totals: Totals) -> Figures:
    """What is reported of preference pairs: how often, and by how much, the preferred answer is rewarded more.

    rewards and logps: [sequences], preferred and rejected in turn. logp_chosen that falls means that the preferred answers
    become less likely, too.
    """
    chosen, rejected = pairs(rewards.detach())
    logp_chosen, logp_rejected = pairs(logps.detach())
    figures = {
        "accuracy": (chosen > rejected).float(),
        "margin": chosen - rejected,
        "reward_chosen": chosen,
        "reward_rejected": rejected,
        "logp_chosen": logp_chosen,
        "logp_rejected": logp_rejected,
    }
    return {name: values.sum() / totals.rows for name, values in figures.items()}
