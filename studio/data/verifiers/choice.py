"""choice: the answer names the expected one of several choices, and no other."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import Field

from studio.data.verifiers.verifier import Example, Message, Verifier, content


class Choice(Verifier, frozen=True):
    """Exactly one of the choices is named, as a whole word, and it is the one that the row's own answer names."""

    summary: ClassVar[str] = "the answer names the right one of a few choices"
    example: ClassVar[Example] = Example("This is for delivery.", {"content": "delivery"}, 1.0)
    kind: Literal["choice"] = "choice"
    choices: list[str] = Field(default_factory=list, title="Choices")
    """The words to choose from, such as `[delivery, repair]`. Empty: the plan takes the answers that the rows have."""

    def score(self, answer: str, expected: Message) -> float:
        """1 if the only choice that is named is the right one."""
        wanted = self._named(content(expected))
        return float(len(wanted) == 1 and self._named(answer) == wanted)

    def problem(self, expected: Message) -> str | None:
        """A row whose own answer names none of the choices, or several."""
        named = self._named(content(expected))
        return None if len(named) == 1 else f"its answer names {'several' if named else 'none'} of the choices"

    def _named(self, text: str) -> set[str]:
        """The choices that stand in a text; one that is part of a longer one there does not count."""
        found: set[str] = set()
        for choice in sorted(self.choices, key=len, reverse=True):
            text, count = re.subn(rf"(?<!\w){re.escape(choice)}(?!\w)", "\0", text, flags=re.IGNORECASE)
            found |= {choice} if count else set()
        return found
