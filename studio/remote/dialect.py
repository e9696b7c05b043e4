"""How one model at one host is asked: what it refuses by name is renamed, reworded or left out, and remembered."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from studio.core.records import Record
from studio.remote.completion import Request
from studio.remote.structured import in_words

TOP = 5
"""Likeliest tokens asked for at each position."""
_OPTIONAL = ("temperature", "seed", "stream_options", "top_logprobs", "logprobs")
"""Parameters that an API may do without."""


class Dialect(Record):
    """What a model at a host takes."""

    label: ClassVar[str] = "dialect of an API"

    schema_by: Literal["json_schema", "json_object", "prompt"] = "json_schema"
    """How it is made to answer in JSON."""
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    without: tuple[str, ...] = ()
    """Parameters that it refuses."""

    def body(self, model: str, request: Request) -> dict[str, Any]:
        """The body of a request to `/chat/completions`."""
        messages = [dict(message) for message in request.messages]
        body: dict[str, Any] = {
            "model": model, "messages": messages, self.limit: request.max_tokens, "temperature": request.temperature,
        }  # fmt: skip
        if request.seed is not None:
            body["seed"] = request.seed
        if request.logprobs:
            body |= {"logprobs": True, "top_logprobs": TOP}
        if request.schema is not None:
            if self.schema_by == "json_schema":
                schema = {"name": "answer", "schema": dict(request.schema), "strict": True}
                body["response_format"] = {"type": "json_schema", "json_schema": schema}
            else:
                last = messages[-1]
                messages[-1] = {**last, "content": f"{last.get('content') or ''}\n\n{in_words(request.schema)}"}
            if self.schema_by == "json_object":
                body["response_format"] = {"type": "json_object"}
        return {name: value for name, value in body.items() if name not in self.without}

    def adapted(self, message: str, request: Request) -> Dialect | None:
        """Another way to ask, after a refusal with that message; None if there is none."""
        if "max_completion_tokens" in message and self.limit == "max_tokens":
            return self._with(limit="max_completion_tokens")
        if request.schema is not None and self.schema_by != "prompt" and _is_about_format(message):
            return self._with(schema_by="json_object" if self.schema_by == "json_schema" else "prompt")
        for name in _OPTIONAL:
            if name in message and name not in self.without:
                return self._with(without=(*self.without, name))
        if request.schema is not None and self.schema_by != "prompt":  # its message names nothing
            return self._with(schema_by="prompt")
        return None

    def _with(self, **changes: object) -> Dialect:
        return Dialect.model_validate({**self.model_dump(), **changes})


def _is_about_format(message: str) -> bool:
    return any(word in message for word in ("response_format", "json_schema", "json_object", "structured output"))
