"""What a verifier is: a rule that scores an answer from 0 to 1, with its settings and an example."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from studio.core.section import Section

Message = Mapping[str, Any]
"""The answer of a row as a chat message: `content`, and `tool_calls` where it makes some."""


@dataclass(frozen=True)
class Example:
    """An answer, the row's own answer, and the score of the first."""

    answer: str
    expected: Message
    score: float


class Verifier(Section, frozen=True):
    """A rule that scores answers. It sees the text of the answer and the row's own answer, and nothing else."""

    kind: str
    summary: ClassVar[str]
    """What it checks, in one line."""
    example: ClassVar[Example]
    """Shown in the docs, tried in the tests."""

    def score(self, answer: str, expected: Message) -> float:
        """The score of an answer, from 0 (wrong) to 1 (right)."""
        raise NotImplementedError

    def problem(self, expected: Message) -> str | None:
        """Why no answer to a row with this expected answer could be scored; None if answers can."""
        return None

    def refuse(self) -> None:
        """Raise SpecError if it may not run on this machine: before the run, not at its first answer."""


def content(message: Message) -> str:
    """The text of a message."""
    return str(message.get("content") or "").strip()


_ENDS = string.punctuation.replace("%", "").replace(")", "").replace("]", "").replace("}", "")


def normalised(text: str) -> str:
    """Lower case, single spaces, without quotation marks around it and punctuation at its end."""
    text = re.sub(r"\s+", " ", text).strip().casefold()
    return text.strip("\"'“”‘’`").rstrip(_ENDS + "…").strip()
