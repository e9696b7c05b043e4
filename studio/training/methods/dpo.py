"""dpo: direct preference optimization (Rafailov et al. 2023), with a term that keeps the preferred answers likely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from studio.core.fields import Ui
from studio.data.rows import Needs
from studio.training.methods.method import Figures, Method, Scored, pair_figures, pairs

if TYPE_CHECKING:
    from studio.training.totals import Totals


class Dpo(Method, frozen=True):
    """Direct preference optimization: the preferred answer gains on the rejected one, against the model as it was before."""

    summary: ClassVar[str] = "preferred answers against rejected ones (direct preference optimization)"
    needs: ClassVar[Needs] = "pairs"
    compares: ClassVar[bool] = True
    rate: ClassVar[float] = 0.1
    rate_reason: ClassVar[str] = (
        "a preference loss pushes on when nothing is left to learn, and at the usual rate ruins answers"
    )
    kind: Literal["dpo"] = "dpo"
    beta: Annotated[float, Ui(step=0.05)] = Field(default=0.1, gt=0, le=10, title="Beta")
    """How strongly the model is held to what it was: larger moves less."""
    loss_type: Annotated[Literal["sigmoid", "ipo", "robust"], Ui(advanced=True)] = Field(default="sigmoid", title="Loss")
    """sigmoid: as published; ipo: aims at a margin and stops there (Azar et al. 2023); robust: some pairs are labelled the
    wrong way round (Chowdhury et al. 2024)."""
    label_noise: Annotated[float, Ui(advanced=True, step=0.05)] = Field(default=0.1, ge=0, lt=0.5, title="Wrong labels")
    """For the robust loss: the share of the pairs that is thought to be labelled the wrong way round."""
    sft: Annotated[float, Ui(step=0.1)] = Field(default=1.0, ge=0, le=100, title="Weight of the SFT term")
    """How much the likelihood of the preferred answers counts beside the preference. 0: not at all; they may then become less
    likely while the rejected ones fall faster."""

    def loss(self, scored: Scored, totals: Totals) -> tuple[Any, Figures]:
        """Mean over pairs of the preference loss, and the SFT term over the preferred answers' tokens."""
        from torch.nn.functional import logsigmoid

        logps = scored.logps
        gains = logps - scored.reference
        chosen, rejected = pairs(gains)
        if self.loss_type == "ipo":
            chosen_count, rejected_count = pairs(scored.counts)
            losses = (chosen / chosen_count - rejected / rejected_count - 1 / (2 * self.beta)).square()
        else:
            delta = self.beta * (chosen - rejected)
            losses = -logsigmoid(delta)
            if self.loss_type == "robust":
                noise = self.label_noise
                losses = ((1 - noise) * losses + noise * logsigmoid(-delta)) / (1 - 2 * noise)
        loss = losses.sum() / totals.rows
        if self.sft:
            loss = loss - self.sft * pairs(logps)[0].sum() / totals.trained_wanted
        return loss, pair_figures(self.beta * gains, logps, totals)
