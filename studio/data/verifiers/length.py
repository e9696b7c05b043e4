"""length: the answer has about as many words as wanted."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from studio.core.validation_errors import Conflict
from studio.data.verifiers.verifier import Example, Message, Verifier


class Length(Verifier, frozen=True):
    """1 within the band of words; less the farther outside. Alone it rewards empty talk: use it in a weighted sum."""

    summary: ClassVar[str] = "the answer has a wanted number of words"
    example: ClassVar[Example] = Example("It has a warranty of 24 months.", {"content": ""}, 1.0)
    kind: Literal["length"] = "length"
    least: int = Field(default=1, ge=0, le=100_000, title="Words at least")
    """Fewer words lower the score, none gives 0."""
    most: int = Field(default=60, ge=1, le=100_000, title="Words at most")
    """More words lower the score; twice as many give 0."""

    @model_validator(mode="after")
    def _is_band(self) -> Length:
        if self.least > self.most:
            raise Conflict("least", f"{self.least} is more than `most`, {self.most}", "Write least: 5 and most: 40, say.")
        return self

    def score(self, answer: str, expected: Message) -> float:
        """1 in the band, falling to 0 at no word at all and at twice the most."""
        words = len(answer.split())
        if not words:
            return 0.0
        if words < self.least:
            return words / self.least
        return max(0.0, 1 - max(0, words - self.most) / self.most)
