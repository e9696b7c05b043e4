"""text: continued pre-training. Documents are learned as they stand, every token of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from studio.data.rows import Needs
from studio.training.methods.method import Figures, Method, Scored

if TYPE_CHECKING:
    from studio.training.totals import Totals


class Text(Method, frozen=True):
    """Continued pre-training: the language and the facts of documents without questions. Long documents are cut into pieces,
    and general conversations are mixed in, so that the model goes on answering."""

    summary: ClassVar[str] = "documents of plain text, every token (continued pre-training)"
    needs: ClassVar[Needs] = "texts"
    kind: Literal["text"] = "text"

    def loss(self, scored: Scored, totals: Totals) -> tuple[Any, Figures]:
        """Mean of -log p over the trained tokens, those of mixed-in answers included."""
        return scored.losses.sum() / max(1, totals.trained), {}
