"""sft: supervised fine-tuning. The mean of -log p(token) over the trained tokens of a batch is made smaller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_serializer

from studio.training.methods.method import Figures, Method, Scored

if TYPE_CHECKING:
    from studio.training.totals import Totals


class Sft(Method, frozen=True):
    """Supervised fine-tuning. Every token counts alike, in a short answer and in a long one."""

    summary: ClassVar[str] = "supervised fine-tuning on the answers"
    kind: Literal["sft"] = "sft"

    def loss(self, scored: Scored, totals: Totals) -> tuple[Any, Figures]:
        """Mean of -log p over the trained tokens."""
        return scored.losses.sum() / max(1, totals.trained), {}

    @model_serializer
    def _as_word(self) -> str:
        """It has no settings: written as one word, as it may be read."""
        return self.kind
