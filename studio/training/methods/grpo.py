"""grpo: group relative policy optimization (Shao et al. 2024): the model answers, a verifier scores, the better is learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from studio.core.fields import Ui
from studio.data.rows import Needs
from studio.training.methods.method import Figures, Method, Scored

if TYPE_CHECKING:
    from studio.training.totals import Totals

LARGEST_WEIGHT = 3.0
"""The most that a token written by another engine counts: TRL's cap, too."""


class Grpo(Method, frozen=True):
    """Group relative policy optimization: of several own answers to a prompt, those that score above the mean are learned."""

    summary: ClassVar[str] = "own answers to the rows' prompts, scored by `data.verifier`; the better ones are learned"
    needs: ClassVar[Needs] = "prompts"
    generates: ClassVar[bool] = True
    rate: ClassVar[float] = 0.5
    rate_reason: ClassVar[str] = "rewards are noisy, and too large a step loses what the model could do"
    kind: Literal["grpo"] = "grpo"
    group: int = Field(default=8, ge=2, le=128, title="Answers to a prompt")
    """So many are sampled at temperature 1 and compared with one another. More find rare right answers and take longer."""
    max_new_tokens: Annotated[int | None, Ui(advanced=True)] = Field(
        default=None, ge=1, le=32_768, title="Longest sampled answer (tokens)"
    )
    """An answer that does not end by then scores 0. Empty: half as long again as the longest answer of the rows."""
    loss_type: Annotated[Literal["dapo", "grpo", "dr_grpo"], Ui(advanced=True)] = Field(default="dapo", title="Loss")
    """dapo: every token of the batch counts alike (Yu et al. 2025); grpo: every answer does; dr_grpo: divided by the longest
    length, so that long answers are neither favoured nor spared (Liu et al. 2025)."""
    scale: Annotated[Literal["group", "batch", "none"], Ui(advanced=True)] = Field(default="group", title="Scale of rewards")
    """What an advantage is divided by: the deviation of its group's rewards, of the batch's, or nothing."""
    beta: Annotated[float, Ui(advanced=True, step=0.01)] = Field(default=0.0, ge=0, le=10, title="Beta")
    """Weight of the divergence from the model as it starts. 0: none, and no second pass over the answers."""
    engine: Annotated[Literal["transformers", "vllm"], Ui(advanced=True)] = Field(
        default="transformers", title="Answers written by"
    )
    """transformers: the trained model itself, on every device. vllm: vLLM, which holds a base of its own and loads the
    adapter again in every step; the difference between both probabilities is corrected. `studio exporters install vllm`"""
    watched: Annotated[int, Ui(advanced=True)] = Field(default=64, ge=1, le=10_000, title="Held-out prompts watched")
    """How many held-out prompts are answered, greedily, at each evaluation."""

    @property
    def by_vllm(self) -> bool:
        """As `engine` says."""
        return self.engine == "vllm"

    def loss(self, scored: Scored, totals: Totals) -> tuple[Any, Figures]:
        """The policy gradient of the answers' advantages. Each answer is learned from once, by the weights that wrote it, so
        that the ratio of both probabilities is 1 and its clipping has nothing to do. Where another engine wrote it, each
        token is weighed by the truncated ratio of the trained model's probability to that engine's (Yao et al. 2025).

        totals count all answers that were sampled, those of groups without signal included.
        """
        import torch

        logps = -scored.losses
        advantages = torch.repeat_interleave(scored.advantages, scored.counts, output_size=len(logps))
        losses = -advantages * (logps - logps.detach()).exp()
        figures: dict[str, Any] = {}
        if scored.sampler_losses is not None:
            apart = logps.detach() + scored.sampler_losses
            losses = losses * apart.exp().clamp(max=LARGEST_WEIGHT)
            figures["sampler_gap"] = apart.abs().sum() / max(1, totals.computed)
        if self.beta:
            gap = scored.reference_losses.neg() - logps
            divergence = gap.exp() - gap - 1
            losses = losses + self.beta * divergence
            figures["kl"] = divergence.detach().sum() / max(1, totals.trained)
        match self.loss_type:
            case "dapo":
                return losses.sum() / max(1, totals.trained), figures
            case "grpo":
                sums = torch.segment_reduce(losses, "sum", lengths=scored.counts, unsafe=True)
                return (sums / scored.counts).sum() / totals.rows, figures
            case _:
                return losses.sum() / (totals.rows * (self.max_new_tokens or 1)), figures
