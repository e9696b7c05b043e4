"""json_schema: the answer is JSON that a schema allows."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from studio.data.verifiers.json_text import whole_json
from studio.data.verifiers.verifier import Example, Message, Verifier


class JsonSchema(Verifier, frozen=True):
    """The whole answer is one JSON value, a code fence around it aside, and valid by a JSON schema (draft 2020-12)."""

    summary: ClassVar[str] = "the answer is JSON that a schema allows"
    example: ClassVar[Example] = Example('{"count": 7}', {"content": ""}, 1.0)
    kind: Literal["json_schema"] = "json_schema"
    definition: dict[str, Any] = Field(default_factory=lambda: {"type": "object"}, title="JSON schema")
    """The schema as a mapping, such as `{type: object, required: [name, count]}`."""

    @field_validator("definition")
    @classmethod
    def _is_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        from jsonschema import Draft202012Validator, SchemaError

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as problem:
            raise ValueError(f"expected a JSON schema: {problem.message}") from None
        if '"$ref": "http' in json.dumps(schema):
            raise ValueError("expected a JSON schema that is whole: `$ref` to another address is not followed")
        return schema

    def score(self, answer: str, expected: Message) -> float:
        """1 if it is valid."""
        try:
            return float(_validator(json.dumps(self.definition)).is_valid(whole_json(answer)))
        except (ValueError, RecursionError):
            return 0.0


@lru_cache(maxsize=16)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema))
