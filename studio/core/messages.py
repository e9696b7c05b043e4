"""Chat messages and tools as chat templates take them: what reading, training, evaluation, chat and serving pass on.

Reading and the API check them (`data.turns`, `serving.requests`); from there on every message has a role and its text.
"""

from __future__ import annotations

from typing import Any, NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict

_KEEP_OTHER_KEYS = ConfigDict(extra="allow")
"""A record that holds messages keeps what a later release, or a client, writes beside the keys known here."""


class FunctionCall(TypedDict):
    """Which function is called, and with what."""

    __pydantic_config__ = _KEEP_OTHER_KEYS  # type: ignore[misc]

    name: str
    arguments: Any
    """An object; its JSON text where a client of the API sent it so."""


class ToolCall(TypedDict):
    """A call that an assistant makes."""

    __pydantic_config__ = _KEEP_OTHER_KEYS  # type: ignore[misc]

    id: NotRequired[str]
    type: NotRequired[str]
    function: FunctionCall


class ChatMessage(TypedDict):
    """One message of a conversation."""

    __pydantic_config__ = _KEEP_OTHER_KEYS  # type: ignore[misc]

    role: str
    """`system`, `user`, `assistant` or `tool`."""
    content: str
    name: NotRequired[str]
    tool_calls: NotRequired[list[ToolCall]]
    tool_call_id: NotRequired[str]
    """The call whose result this message of a tool is."""
    reasoning_content: NotRequired[str]
    """What the assistant thought before it answered."""
    train: NotRequired[bool]
    """False: an answer that is read and not learned."""


class ToolFunction(TypedDict):
    """A function that can be called."""

    __pydantic_config__ = _KEEP_OTHER_KEYS  # type: ignore[misc]

    name: str
    description: NotRequired[str]
    parameters: NotRequired[dict[str, Any]]
    """The JSON schema of its arguments."""


class Tool(TypedDict):
    """A tool that a conversation may call."""

    __pydantic_config__ = _KEEP_OTHER_KEYS  # type: ignore[misc]

    type: str
    """`function`."""
    function: ToolFunction


def chat_message(role: str, content: str) -> ChatMessage:
    """A message of text alone."""
    return {"role": role, "content": content}
