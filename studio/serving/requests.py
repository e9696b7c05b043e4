"""Requests as OpenAI's API defines them, checked. What is not supported is refused by name, never left out silently."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from studio.core.text import nearest
from studio.serving.errors import ApiError, bad

IGNORED = frozenset(
    {
        "user",
        "metadata",
        "store",
        "service_tier",
        "parallel_tool_calls",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
    }
)
"""Parameters that change nothing here: what a provider keeps, bills or caches."""
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "modalities": (None, ["text"]),
    "audio": (None,),
    "prediction": (None,),
    "functions": (None, []),
    "function_call": (None, "auto", "none"),
    "reasoning_effort": (None, "none"),
    "verbosity": (None, "medium"),
    "web_search_options": (None,),
    "suffix": (None, ""),
    "best_of": (None, 1),
}
"""Parameters that are not supported, and the values with which they change nothing."""


R = TypeVar("R", bound="Common")


class StreamOptions(BaseModel):
    """What a stream tells besides the text."""

    model_config = ConfigDict(extra="ignore")
    include_usage: bool = False


class Common(BaseModel):
    """What chat and plain completions share."""

    model_config = ConfigDict(extra="forbid", strict=False)

    model: str = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[int, float] | None = None
    response_format: dict[str, Any] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in given if text)


class ChatRequest(Common):
    """`POST /v1/chat/completions`."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0)
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None

    @property
    def most(self) -> int | None:
        """Most tokens to write."""
        return self.max_completion_tokens or self.max_tokens


class TextRequest(Common):
    """`POST /v1/completions`."""

    prompt: str | list[int] | list[str] | list[list[int]] = ""
    max_tokens: int | None = Field(default=None, ge=0)
    logprobs: int | None = Field(default=None, ge=0)
    echo: bool = False

    @property
    def prompts(self) -> list[str | list[int]]:
        """Each prompt by itself."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if self.prompt and isinstance(self.prompt[0], int):
            return [list(self.prompt)]  # type: ignore[arg-type]
        return list(self.prompt)  # type: ignore[arg-type]


def parse(kind: type[R], body: Any) -> R:
    """The request in a JSON body. Raises ApiError 400 that names the parameter."""
    if not isinstance(body, dict):
        raise bad("the body must be a JSON object")
    values = {name: value for name, value in body.items() if name not in IGNORED}
    for name in [name for name in values if name in NEUTRAL and name not in kind.model_fields]:
        if values.pop(name) not in NEUTRAL[name]:
            raise bad(f"`{name}` is not supported here", name, "unsupported_parameter")
    unknown = sorted(name for name in values if name not in kind.model_fields)
    if unknown:
        near = nearest(unknown[0], kind.model_fields)
        raise bad(
            f"`{unknown[0]}` is not a parameter here{f'; did you mean `{near}`?' if near else ''}",
            unknown[0],
            "unknown_parameter",
        )
    try:
        return kind.model_validate(values)
    except pydantic.ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise bad(f"`{where}`: {first['msg']}", str(first["loc"][0]) if first["loc"] else "") from None


def conversation(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages as chat templates take them: text only, `developer` as `system`. Raises ApiError naming the message."""
    found = []
    for place, message in enumerate(messages):
        role, where = message.get("role"), f"messages[{place}]"
        if role not in ("system", "developer", "user", "assistant", "tool"):
            raise bad(f"{where} has the role {role!r}; known are system, developer, user, assistant, tool", f"{where}.role")
        content = _text(message.get("content"), where)
        calls = message.get("tool_calls")
        if content is None and not calls:
            raise bad(f"{where} has no content", f"{where}.content")
        kept = {key: value for key, value in message.items() if key in ("name", "tool_call_id", "tool_calls") and value}
        if calls and not (isinstance(calls, list) and all(_is_call(call) for call in calls)):
            raise bad(f"{where}.tool_calls is not a list of function calls", f"{where}.tool_calls")
        found.append({"role": "system" if role == "developer" else role, "content": content or "", **kept})
    return found


def _is_call(call: Any) -> bool:
    return isinstance(call, dict) and isinstance(call.get("function"), dict) and isinstance(call["function"].get("name"), str)


def _text(content: Any, where: str) -> str | None:
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise bad(f"{where}.content must be text or a list of text parts", f"{where}.content")
    parts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        if kind != "text" or not isinstance(part.get("text"), str):
            raise bad(f"{where} has a part of type {kind!r}; these models read text only", f"{where}.content")
        parts.append(part["text"])
    return "".join(parts)


def functions(tools: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The tools of a request. Raises ApiError for what is no function with a name."""
    for place, tool in enumerate(tools or []):
        function = tool.get("function")
        if tool.get("type") != "function" or not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise bad(f"tools[{place}] is not a function with a name", f"tools[{place}]")
    return list(tools or [])


def schema(response_format: dict[str, Any] | None) -> dict[str, Any] | None:
    """The JSON schema an answer must follow; None for free text. Raises ApiError."""
    kind = (response_format or {}).get("type", "text")
    if response_format is None or kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    if kind == "json_schema":
        named = response_format.get("json_schema")
        found = named.get("schema") if isinstance(named, dict) else None
        if not isinstance(found, dict):
            raise bad("response_format.json_schema needs a `schema`, which is a JSON schema", "response_format")
        return found
    raise bad(f"response_format.type is {kind!r}; known are text, json_object, json_schema", "response_format")


def too_many(what: str, given: int, most: int, param: str) -> ApiError:
    """A request over a limit, with both numbers."""
    return bad(f"{what}: {given} asked for, at most {most} here", param, "limit_exceeded")
