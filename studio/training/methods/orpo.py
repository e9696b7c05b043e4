"""orpo: odds ratio preference optimization (Hong et al. 2024): learn the preferred answers, and their odds against others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from studio.core.fields import Ui
from studio.data.rows import Needs
from studio.training.methods.method import Figures, Method, Scored, pair_figures, pairs

if TYPE_CHECKING:
    import torch

    from studio.training.totals import Totals


class Orpo(Method, frozen=True):
    """Odds ratio preference optimization: the preferred answers are learned, and become likelier than the rejected ones."""

    summary: ClassVar[str] = "learn preferred answers and tell them from rejected ones at once"
    needs: ClassVar[Needs] = "pairs"
    kind: Literal["orpo"] = "orpo"
    beta: Annotated[float, Ui(step=0.05)] = Field(default=0.1, gt=0, le=10, title="Beta")
    """How much the preference counts beside learning the preferred answers."""

    def loss(self, scored: Scored, totals: Totals) -> tuple[Any, Figures]:
        """Mean of -log p over the preferred answers' tokens, less beta times the mean log-sigmoid of the log odds ratio."""
        from torch.nn.functional import logsigmoid

        logps = scored.logps
        means = logps / scored.counts
        log_odds = means - _log_one_less(means)
        chosen, rejected = pairs(log_odds)
        learned = -pairs(logps)[0].sum() / totals.trained_wanted
        loss = learned - self.beta * logsigmoid(chosen - rejected).sum() / totals.rows
        return loss, pair_figures(self.beta * means, logps, totals)


def _log_one_less(logs: torch.Tensor) -> Any:
    """log(1 - exp(x)) for x below 0, exact near 0 and far below (Maechler 2012)."""
    import torch

    near = logs > -0.6931472
    first = torch.log(-torch.expm1(torch.where(near, logs, -1.0)))
    return torch.where(near, first, torch.log1p(-torch.exp(torch.where(near, -1.0, logs))))
