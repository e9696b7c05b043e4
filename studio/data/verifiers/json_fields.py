"""json_fields: the fields of the answer's JSON against those of the row's own."""

from __future__ import annotations

from typing import ClassVar, Literal

from studio.data.verifiers.json_text import agreement, objects, whole_json
from studio.data.verifiers.verifier import Example, Message, Verifier, content


class JsonFields(Verifier, frozen=True):
    """F1 of the fields: each value that is right counts, what is missing or too much costs."""

    summary: ClassVar[str] = "the share of the JSON fields that are right (F1)"
    example: ClassVar[Example] = Example(
        '{"name": "Ada Brandt", "count": 8}', {"content": '{"name": "Ada Brandt", "count": 7}'}, 0.5
    )
    kind: Literal["json_fields"] = "json_fields"

    def score(self, answer: str, expected: Message) -> float:
        """F1 of the fields; 0 for an answer that is no JSON, or holds anything beside it."""
        try:
            return agreement(whole_json(answer), whole_json(content(expected)))
        except (ValueError, RecursionError):
            return 0.0

    def problem(self, expected: Message) -> str | None:
        """A row whose own answer is no JSON."""
        return None if objects(content(expected)) else "its answer is no JSON"
