"""Requests as OpenAI's API defines them, checked. What is not supported is refused by name, never left out silently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, cast

import pydantic
from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from studio.core.messages import ChatMessage, Tool
from studio.core.text import nearest
from studio.serving.errors import ApiError, bad

IGNORED = frozenset(
    {
        "user",
        "metadata",
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


@dataclass(frozen=True)
class Schema:
    """A JSON schema that an answer follows. strict: what cannot be enforced while it is written is refused, else ignored."""

    content: dict[str, Any]
    strict: bool = False


STOPS = 16
"""Most stop strings, and most stop tokens, of one request."""


class StreamOptions(BaseModel):
    """What a stream carries besides the text."""

    model_config = ConfigDict(extra="ignore")
    include_usage: StrictBool = False

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, values: object) -> Any:
        return {name: value for name, value in values.items() if value is not None} if isinstance(values, dict) else values


class Common(BaseModel):
    """What chat and plain completions share. A parameter that is null counts as left out."""

    model_config = ConfigDict(extra="forbid", strict=False)

    model: str = Field(min_length=1)
    stream: StrictBool = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    """0 and -1: all tokens, as other servers have it."""
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=STOPS)] | None = None
    stop_token_ids: Annotated[list[int], Field(max_length=STOPS)] | None = None
    ignore_eos: StrictBool = False
    """Write on to the limit, past the tokens that end an answer: for measuring speed."""
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[int, float] | None = None
    response_format: dict[str, Any] | None = None
    store: bool | None = None
    """False leaves the answer out where a server collects answers."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(text for text in stops if text)

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with the numbers of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(Common):
    """`POST /v1/chat/completions`."""

    messages: list[dict[str, Any]] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: StrictBool = False
    top_logprobs: int | None = Field(default=None, ge=0)
    tools: list[dict[str, Any]] | None = None
    tool_choice: Literal["none", "auto", "required"] | dict[str, Any] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    """Variables of the chat template, such as `enable_thinking`."""

    @property
    def token_limit(self) -> int | None:
        """Most tokens to write."""
        return self.max_completion_tokens or self.max_tokens


class TextRequest(Common):
    """`POST /v1/completions`."""

    prompt: str | list[int] | list[str] | list[list[int]] = ""
    max_tokens: int | None = Field(default=None, ge=0)
    logprobs: int | None = Field(default=None, ge=0)
    echo: StrictBool = False

    @property
    def prompts(self) -> list[str | list[int]]:
        """Each prompt by itself."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if self.prompt and isinstance(self.prompt[0], int):
            return [list(self.prompt)]  # type: ignore[arg-type]
        return list(self.prompt)  # type: ignore[arg-type]


def parse(kind: type[R], body: object) -> R:
    """The request in a JSON body. Raises ApiError 400 that names the parameter."""
    if not isinstance(body, dict):
        raise bad("the body must be a JSON object")
    values = {name: value for name, value in body.items() if name not in IGNORED and value is not None}
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


def as_conversation(messages: list[dict[str, Any]]) -> list[ChatMessage]:
    """Messages as chat templates take them: text only, `developer` as `system`. Raises ApiError naming the message."""
    conversation: list[ChatMessage] = []
    for index, message in enumerate(messages):
        role, where = message.get("role"), f"messages[{index}]"
        if role not in ("system", "developer", "user", "assistant", "tool"):
            raise bad(f"{where} has the role {role!r}; known are system, developer, user, assistant, tool", f"{where}.role")
        content = _text(message.get("content"), where)
        calls = message.get("tool_calls")
        if content is None and not calls:
            raise bad(f"{where} has no content", f"{where}.content")
        if calls and not (isinstance(calls, list) and all(_is_call(call) for call in calls)):
            raise bad(f"{where}.tool_calls is not a list of function calls", f"{where}.tool_calls")
        turn = {key: value for key, value in message.items() if key in ("name", "tool_call_id", "tool_calls") and value}
        conversation.append(
            cast("ChatMessage", {"role": "system" if role == "developer" else role, "content": content or "", **turn})
        )
    return conversation


def _is_call(call: object) -> bool:
    return isinstance(call, dict) and isinstance(call.get("function"), dict) and isinstance(call["function"].get("name"), str)


def _text(content: object, where: str) -> str | None:
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


def functions(tools: list[dict[str, Any]] | None) -> list[Tool]:
    """The tools of a request. Raises ApiError for what is no function with a name, or has parameters that are no schema."""
    for index, tool in enumerate(tools or []):
        function = tool.get("function")
        if tool.get("type") != "function" or not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise bad(f"tools[{index}] is not a function with a name", f"tools[{index}]")
        parameters = function.get("parameters")
        if not (parameters is None or isinstance(parameters, dict)):
            raise bad(
                f"tools[{index}].function.parameters is {type(parameters).__name__}, and must be a JSON schema (an object)",
                f"tools[{index}].function.parameters",
            )
    return cast("list[Tool]", list(tools or []))


def chosen_function(choice: Mapping[str, Any]) -> str:
    """The function that `tool_choice` names. Raises ApiError for another form than OpenAI's."""
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if choice.get("type") != "function" or not isinstance(name, str):
        raise bad(
            'tool_choice must be "none", "auto", "required" or {"type": "function", "function": {"name": "..."}}', "tool_choice"
        )
    return name


def schema(response_format: dict[str, Any] | None) -> Schema | None:
    """The JSON schema an answer must follow; None for free text. Raises ApiError."""
    kind = (response_format or {}).get("type", "text")
    if response_format is None or kind == "text":
        return None
    if kind == "json_object":
        return Schema({"type": "object"})
    if kind == "json_schema":
        named = response_format.get("json_schema")
        content = named.get("schema") if isinstance(named, dict) else None
        if not isinstance(named, dict) or not isinstance(content, dict):
            raise bad("response_format.json_schema needs a `schema`, which is a JSON schema", "response_format")
        return Schema(content, named.get("strict") is True)
    raise bad(f"response_format.type is {kind!r}; known are text, json_object, json_schema", "response_format")


def too_many(what: str, requested: int, limit: int, param: str) -> ApiError:
    """A request over a limit, with both numbers."""
    return bad(f"{what}: {requested} asked for, at most {limit} here", param, "limit_exceeded")
