"""contains: the answer has words it must have, and none that it must not have."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from studio.data.verifiers.verifier import Example, Message, Verifier, content, normalised


class Contains(Verifier, frozen=True):
    """The share of the wanted texts that the answer contains; 0 as soon as it contains an unwanted one."""

    summary: ClassVar[str] = "the answer contains some texts and does not contain others"
    example: ClassVar[Example] = Example("It is made of oak, friend.", {"content": "oak"}, 1.0)
    kind: Literal["contains"] = "contains"
    present: list[str] = Field(default_factory=list, title="Texts that must be there")
    """Case does not matter. Empty, and no unwanted ones: the row's own answer must be contained in the answer."""
    absent: list[str] = Field(default_factory=list, title="Texts that must not be there")
    """Such as `[I think, I am not sure]`."""

    def score(self, answer: str, expected: Message) -> float:
        """The share of the wanted texts that are there; 0 with an unwanted one."""
        text = normalised(answer)
        if any(normalised(part) in text for part in self.absent):
            return 0.0
        wanted = self.present or ([] if self.absent else [content(expected)])
        if not wanted:
            return float(bool(text))
        return sum(normalised(part) in text for part in wanted) / len(wanted)

    def problem(self, expected: Message) -> str | None:
        """A row without an answer where that is what must be contained."""
        return None if self.present or self.absent or content(expected) else "its answer has no text"
