"""kto: Kahneman-Tversky optimization (Ethayarajh et al. 2024): answers labelled good or bad, each on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from studio.core.fields import Ui
from studio.data.rows import Needs
from studio.training.methods.method import Figures, Method, Scored

if TYPE_CHECKING:
    from studio.training.totals import Totals


class Kto(Method, frozen=True):
    """Kahneman-Tversky optimization: good answers become likelier and bad ones less so, against the model as it was before."""

    summary: ClassVar[str] = "answers labelled good or bad, such as thumbs up and down"
    needs: ClassVar[Needs] = "labels"
    compares: ClassVar[bool] = True
    mismatches: ClassVar[bool] = True
    rate: ClassVar[float] = 0.02
    rate_reason: ClassVar[str] = "bad answers are pushed away without end, and at a tenth of the rate general skills go, too"
    kind: Literal["kto"] = "kto"
    beta: Annotated[float, Ui(step=0.05)] = Field(default=0.1, gt=0, le=10, title="Beta")
    """How strongly the model is held to what it was: larger moves less."""
    good_weight: Annotated[float | None, Ui(advanced=True)] = Field(default=None, gt=0, le=1000, title="Weight of good answers")
    """Empty: the plan balances the two kinds, so that the rarer one counts as much."""
    bad_weight: Annotated[float | None, Ui(advanced=True)] = Field(default=None, gt=0, le=1000, title="Weight of bad answers")
    """Empty: the plan balances the two kinds, so that the rarer one counts as much."""

    def loss(self, scored: Scored, totals: Totals) -> tuple[Any, Figures]:
        """Mean over answers of one less the sigmoid of what each gained, beyond what all answers gained."""
        import torch

        logps = scored.logps
        rewards = self.beta * (logps - scored.reference)
        drift = self.beta * scored.drift
        losses = 1 - torch.sigmoid(torch.where(scored.wanted, rewards - drift, drift - rewards))
        weights = torch.where(scored.wanted, self.good_weight or 1.0, self.bad_weight or 1.0)
        good, bad = max(1, totals.wanted), max(1, totals.rows - totals.wanted)
        shares = {
            "reward_chosen": (rewards, scored.wanted, good),
            "reward_rejected": (rewards, ~scored.wanted, bad),
            "logp_chosen": (logps, scored.wanted, good),
            "logp_rejected": (logps, ~scored.wanted, bad),
        }
        figures = {name: (values.detach() * which).sum() / count for name, (values, which, count) in shares.items()}
        figures["margin"] = figures["reward_chosen"] - figures["reward_rejected"]
        figures["drift"] = scored.drift.detach() * len(logps) / totals.rows
        return (weights * losses).sum() / totals.rows, figures
