"""exact: the answer is the expected one."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from studio.data.verifiers.verifier import Example, Message, Verifier, content, normalised


class Exact(Verifier, frozen=True):
    """Right or wrong as a whole."""

    summary: ClassVar[str] = "the answer is the row's own"
    example: ClassVar[Example] = Example("the Aria lamp is made of oak", {"content": "The Aria lamp is made of oak."}, 1.0)
    kind: Literal["exact"] = "exact"
    strict: bool = Field(default=False, title="To the letter")
    """Case, white space and final punctuation count too."""

    def score(self, answer: str, expected: Message) -> float:
        """1 if both are equal."""
        if self.strict:
            return float(answer.strip() == content(expected))
        return float(normalised(answer) == normalised(content(expected)))

    def problem(self, expected: Message) -> str | None:
        """A row without text has nothing to compare with."""
        return None if content(expected) else "its answer has no text"
