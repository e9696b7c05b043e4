"""number: the answer gives the expected number."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from studio.core.fields import Ui
from studio.core.numerals import numerals
from studio.data.verifiers.verifier import Example, Message, Verifier, content


class Number(Verifier, frozen=True):
    """The last number of the answer against the last number of the row's own answer; words and units do not count."""

    summary: ClassVar[str] = "the answer gives the number of the row's own answer"
    example: ClassVar[Example] = Example("3 boxes of 4 make 12 lamps.", {"content": "12"}, 1.0)
    kind: Literal["number"] = "number"
    tolerance: Annotated[float, Ui(step=0.01)] = Field(default=0.0, ge=0, le=1, title="Tolerance")
    """How far off a number may be, as a share of the expected one: 0.01 is one percent."""
    which: Literal["last", "first"] = Field(default="last", title="Which number")
    """The number that counts where an answer holds several."""

    def score(self, answer: str, expected: Message) -> float:
        """1 if the numbers agree."""
        ours, theirs = numerals(answer), numerals(content(expected))
        if not ours or not theirs:
            return 0.0
        index = -1 if self.which == "last" else 0
        allowed = max(self.tolerance * abs(theirs[index]), 1e-9 * max(1.0, abs(theirs[index])))
        return float(abs(ours[index] - theirs[index]) <= allowed)

    def problem(self, expected: Message) -> str | None:
        """A row whose own answer has no number."""
        return None if numerals(content(expected)) else "its answer has no number"
