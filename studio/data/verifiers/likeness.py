"""likeness: the words that the answer shares with the row's own."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar, Literal

from studio.data.verifiers.verifier import Example, Message, Verifier, content, normalised


class Likeness(Verifier, frozen=True):
    """F1 of the words. Easily deceived where it is rewarded; at its best as the control score."""

    summary: ClassVar[str] = "the share of words in common with the row's own answer (F1)"
    example: ClassVar[Example] = Example("Made of oak.", {"content": "It is made of oak"}, 0.75)
    kind: Literal["likeness"] = "likeness"

    def score(self, answer: str, expected: Message) -> float:
        """2PR / (P + R) over the words."""
        ours, theirs = (Counter(normalised(text).split()) for text in (answer, content(expected)))
        both = sum(ours.values()) + sum(theirs.values())
        return 2 * (ours & theirs).total() / both if both else 1.0

    def problem(self, expected: Message) -> str | None:
        """A row without text has nothing to compare with."""
        return None if content(expected) else "its answer has no text"
