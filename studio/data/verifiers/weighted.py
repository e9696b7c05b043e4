"""weighted: several verifiers together."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from studio.core.section import Section
from studio.data.verifiers.choice import Choice
from studio.data.verifiers.contains import Contains
from studio.data.verifiers.exact import Exact
from studio.data.verifiers.json_fields import JsonFields
from studio.data.verifiers.json_schema import JsonSchema
from studio.data.verifiers.length import Length
from studio.data.verifiers.likeness import Likeness
from studio.data.verifiers.number import Number
from studio.data.verifiers.python import Python
from studio.data.verifiers.regex import Regex
from studio.data.verifiers.tool_call import ToolCall
from studio.data.verifiers.verifier import Example, Message, Verifier
from studio.data.verifiers.words import from_word

Single = Exact | Number | Choice | Regex | JsonSchema | JsonFields | Contains | Likeness | Length | ToolCall | Python


class Part(Section, frozen=True):
    """One verifier of a sum."""

    weight: float = Field(default=1.0, gt=0, le=1000)
    """How much it counts beside the others."""
    verifier: Annotated[Single, Field(discriminator="kind"), BeforeValidator(from_word)]
    """Its word, or a section with its settings."""


class Weighted(Verifier, frozen=True):
    """The weighted mean of several scores: half for the form, half for the fact, say."""

    summary: ClassVar[str] = "a weighted mean of other verifiers"
    example: ClassVar[Example] = Example("It is made of oak, friend.", {"content": "oak"}, 1.0)
    kind: Literal["weighted"] = "weighted"
    parts: list[Part] = Field(
        default_factory=lambda: [
            Part(weight=1, verifier=Contains()),
            Part(weight=1, verifier=Regex(pattern=r", friend\.$")),
        ],
        min_length=1,
        max_length=20,
        title="Parts",
    )
    """A list such as `[{weight: 1, verifier: number}, {weight: 0.5, verifier: {kind: length, most: 20}}]`."""

    def score(self, answer: str, expected: Message) -> float:
        """The weighted mean of the parts' scores."""
        total = sum(part.weight for part in self.parts)
        return sum(part.weight * part.verifier.score(answer, expected) for part in self.parts) / total

    def refuse(self) -> None:
        """Raise SpecError if any of the parts may not run here."""
        for part in self.parts:
            part.verifier.refuse()

    def problem(self, expected: Message) -> str | None:
        """What any of the parts finds wrong."""
        return next((found for part in self.parts if (found := part.verifier.problem(expected))), None)
