"""reward: a reward model (Bradley & Terry 1952; Ouyang et al. 2022): one number for an answer, higher for the preferred one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from studio.core.fields import Ui
from studio.data.rows import Needs
from studio.training.methods.method import Figures, Method, Scored, pairs

if TYPE_CHECKING:
    from studio.training.totals import Totals


class Reward(Method, frozen=True):
    """A reward model: a linear head on the last token's hidden state scores whole conversations. It answers nothing."""

    summary: ClassVar[str] = "a score for answers instead of answers: higher for preferred ones (reward model)"
    needs: ClassVar[Needs] = "pairs"
    scores: ClassVar[bool] = True
    rate: ClassVar[float] = 0.1
    rate_reason: ClassVar[str] = "a margin between scores grows on when nothing is left to learn"
    kind: Literal["reward"] = "reward"
    center: Annotated[float, Ui(advanced=True, step=0.01)] = Field(default=0.01, ge=0, le=10, title="Centring")
    """Weight of the squared sum of both scores, which keeps scores around 0 (Eisenstein et al. 2023). 0: none."""

    def loss(self, scored: Scored, totals: Totals) -> tuple[Any, Figures]:
        """Mean over pairs of the log-sigmoid loss of the difference between both scores."""
        from torch.nn.functional import logsigmoid

        chosen, rejected = pairs(scored.values)
        losses = -logsigmoid(chosen - rejected) + self.center * (chosen + rejected).square()
        chosen, rejected = chosen.detach(), rejected.detach()
        figures = {
            "accuracy": (chosen > rejected).float(),
            "margin": chosen - rejected,
            "reward_chosen": chosen,
            "reward_rejected": rejected,
        }
        return losses.sum() / totals.rows, {name: values.sum() / totals.rows for name, values in figures.items()}
