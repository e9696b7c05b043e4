"""simpo: simple preference optimization (Meng et al. 2024): a margin between mean log p of both answers, and no reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from studio.core.fields import Ui
from studio.data.rows import Needs
from studio.training.methods.method import Figures, Method, Scored, pair_figures, pairs

if TYPE_CHECKING:
    from studio.training.totals import Totals


class Simpo(Method, frozen=True):
    """Simple preference optimization: the mean log p of a preferred answer's tokens exceeds the rejected one's by a margin."""

    summary: ClassVar[str] = "a margin between the likelihoods of preferred and rejected answers"
    needs: ClassVar[Needs] = "pairs"
    rate: ClassVar[float] = 0.1
    rate_reason: ClassVar[str] = (
        "a preference loss pushes on when nothing is left to learn, and at the usual rate ruins answers"
    )
    kind: Literal["simpo"] = "simpo"
    beta: Annotated[float, Ui(step=0.5)] = Field(default=2.0, gt=0, le=100, title="Beta")
    """How steeply the loss falls with the margin."""
    gamma: Annotated[float, Ui(step=0.1)] = Field(default=0.5, ge=0, le=10, title="Margin")
    """The margin aimed at, in units of beta times nats a token."""
    sft: Annotated[float, Ui(step=0.1)] = Field(default=0.0, ge=0, le=100, title="Weight of the SFT term")
    """How much the likelihood of the preferred answers counts beside the preference, as in CPO (Xu et al. 2024)."""

    def loss(self, scored: Scored, totals: Totals) -> tuple[Any, Figures]:
        """Mean over pairs of the log-sigmoid loss of beta times the margin, less gamma."""
        from torch.nn.functional import logsigmoid

        logps = scored.logps
        rewards = self.beta * logps / scored.counts
        chosen, rejected = pairs(rewards)
        loss = -logsigmoid(chosen - rejected - self.gamma).sum() / totals.rows
        if self.sft:
            loss = loss - self.sft * pairs(logps)[0].sum() / totals.trained_wanted
        return loss, pair_figures(rewards, logps, totals)
