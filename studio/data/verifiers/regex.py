"""regex: the answer matches a regular expression."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from studio.data.verifiers.verifier import Example, Message, Verifier

MOST = 10_000
"""Characters of an answer that are looked at."""


class Regex(Verifier, frozen=True):
    """A form that every answer must have, whatever it says."""

    summary: ClassVar[str] = "the answer matches a regular expression"
    example: ClassVar[Example] = Example("The code is MC-15.", {"content": ""}, 1.0)
    kind: Literal["regex"] = "regex"
    pattern: str = Field(default=r"[A-Z]{2}-\d+", min_length=1, max_length=1000, title="Pattern")
    """A Python regular expression."""
    whole: bool = Field(default=False, title="Whole answer")
    """The pattern must match the answer from its beginning to its end, not only a part of it."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as problem:
            raise ValueError(f"expected a regular expression: {problem}") from None
        return pattern

    def score(self, answer: str, expected: Message) -> float:
        """1 if it matches."""
        text = answer.strip()[:MOST]
        return float(bool((re.fullmatch if self.whole else re.search)(self.pattern, text, re.DOTALL)))
