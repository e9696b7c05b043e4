"""The turns of a conversation: known roles in a right order, tool calls in one shape, an answer at the end.

What comes out is what a chat template takes: `role` and `content`; `tool_calls` with `arguments` as an object (most
templates print them as JSON themselves); `tool_call_id` and `name` on tool results; `reasoning_content`.
"""

from __future__ import annotations

from typing import Any

import orjson

from studio.data.notes import Notes, Unusable
from studio.data.texts import kind_of, sound

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
"""Role names of OpenAI messages, old and new, and what a chat template calls them."""

_BEFORE = {
    "system": frozenset(("",)),
    "user": frozenset(("", "system", "assistant")),
    "assistant": frozenset(("user", "tool")),
    "tool": frozenset(("call", "tool")),
}
_PLAIN = frozenset(("role", "content"))
_KEPT = frozenset(("role", "content", "name", "tool_calls", "tool_call_id", "function_call", "reasoning_content"))


def checked(raw: Any, column: str, notes: Notes) -> tuple[dict[str, Any], ...]:
    """Messages as a chat template takes them, ending with an assistant's.

    Turns after the last answer are left out with a note. Raises Unusable for anything that does not fit: unknown role,
    roles out of order, empty turn, image, malformed tool call, no assistant turn.
    """
    raw = from_json(raw, column)
    if not isinstance(raw, (list, tuple)):
        raise Unusable(f"wrong type: the conversation is {kind_of(raw)}, not a list of messages", column)
    messages: list[dict[str, Any]] = []
    before, calls, end = "", frozenset(), 0
    for place, message in enumerate(raw, 1):
        if not isinstance(message, dict):
            raise Unusable(f"wrong type: message {place} is {kind_of(message)}, not an object", column)
        role = _role(message, place, column)
        if role == "system" and not message.get("content") and not messages:
            continue  # an empty system prompt is none
        if before not in _BEFORE[role]:
            raise Unusable(f"roles out of order: message {place} ({role}) {_after(before)}", column)
        turn = _turn(message, role, place, column, notes)
        if role == "assistant":
            calls = frozenset(call["id"] for call in turn.get("tool_calls", ()) if "id" in call)
            before = "call" if "tool_calls" in turn else role
            end = len(messages) + 1
        else:
            if role == "tool" and calls and turn.get("tool_call_id") not in (None, *calls):
                raise Unusable(f"malformed tool result: message {place} answers a call that was not made", column)
            before = role
        messages.append(turn)
    if not end:
        raise Unusable("no assistant turn", column)
    if end < len(messages):
        notes.add("turns after the last answer were left out", column)
    return tuple(messages[:end])


def checked_tools(raw: Any, column: str, notes: Notes) -> tuple[dict[str, Any], ...]:
    """Tool definitions as `{"type": "function", "function": {...}}`; bare ones are wrapped. Raises Unusable."""
    raw = from_json(raw, column)
    if raw is None or raw == "" or raw == []:
        return ()
    if not isinstance(raw, list):
        raise Unusable(f"malformed tools: they are {kind_of(raw)}, not a list", column)
    tools = []
    for place, tool in enumerate(raw, 1):
        inner = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
            raise Unusable(f"malformed tools: tool {place} has no name", column)
        tools.append({"type": "function", "function": inner})
    return tuple(tools)


def note_unknown_tools(messages: tuple[dict[str, Any], ...], tools: tuple[dict[str, Any], ...], notes: Notes) -> None:
    """Note calls of tools that the row does not define, if it defines any."""
    known = {tool["function"]["name"] for tool in tools}
    called = {call["function"]["name"] for turn in messages for call in turn.get("tool_calls", ())}
    if known and called - known:
        notes.add("a tool is called that the row does not define")


def tool_call(raw: Any, place: int, column: str) -> dict[str, Any]:
    """A tool call with its arguments as an object. raw: `{"function": {...}}` or `{"name", "arguments"}`."""
    inner = raw.get("function", raw) if isinstance(raw, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str) or not inner["name"]:
        raise Unusable(f"malformed tool call: message {place} has a call without a name", column)
    arguments = inner.get("arguments", inner.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments) if arguments.strip() else {}
        except orjson.JSONDecodeError:
            raise Unusable(f"malformed tool call: the arguments in message {place} are not JSON", column) from None
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, dict):
        raise Unusable(f"malformed tool call: the arguments in message {place} are {kind_of(arguments)}", column)
    call: dict[str, Any] = {"type": "function", "function": {"name": inner["name"], "arguments": arguments}}
    return {"id": str(raw["id"]), **call} if raw.get("id") else call


def from_json(value: Any, column: str) -> Any:
    """The value, or what its JSON text holds: tables store lists as text. Raises Unusable for broken JSON."""
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise Unusable("broken JSON: the cell is not a JSON list", column) from None


def _role(message: dict[str, Any], place: int, column: str) -> str:
    role = message.get("role")
    known = ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        if role is None:
            raise Unusable(f"missing role: message {place} has none", column)
        raise Unusable(f"unknown role: `{str(role)[:40]}` in message {place}", column)
    return known


def _turn(message: dict[str, Any], role: str, place: int, column: str, notes: Notes) -> dict[str, Any]:
    content = message.get("content")
    text = sound(content, column, notes) if isinstance(content, str) else _joined(content, place, column, notes)
    turn: dict[str, Any] = {"role": role, "content": text}
    if len(message) > 2 or message.keys() - _PLAIN:
        _rest(turn, message, place, column, notes)
    if (not text or text.isspace()) and "tool_calls" not in turn and role != "tool":
        what = {"user": "question", "assistant": "answer", "system": "system prompt"}[role]
        raise Unusable(f"empty {what}: message {place}", column)
    return turn


def _rest(turn: dict[str, Any], message: dict[str, Any], place: int, column: str, notes: Notes) -> None:
    """What a message has beyond role and content."""
    calls = message.get("tool_calls") or ([message["function_call"]] if message.get("function_call") else [])
    if calls:
        if turn["role"] != "assistant" or not isinstance(calls, list):
            raise Unusable(f"malformed tool call: message {place} ({turn['role']}) cannot call tools so", column)
        turn["tool_calls"] = [tool_call(call, place, column) for call in calls]
    for key in ("name", "tool_call_id", "reasoning_content"):
        if isinstance(message.get(key), str) and message[key]:
            turn[key] = sound(message[key], column, notes)
    for key in message.keys() - _KEPT:
        if message[key] is not None:
            notes.add(f"message key `{str(key)[:40]}` is not used", column)


def _joined(content: Any, place: int, column: str, notes: Notes) -> str:
    """Content given as nothing or as a list of text parts."""
    if content is None:
        return ""
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        raise Unusable(f"wrong type: the content of message {place} is {kind_of(content)}, not a text", column)
    texts: list[str] = []
    for part in content:
        kind = part.get("type", "text") if isinstance(part, dict) else None
        if kind == "text" and isinstance(part.get("text"), str):
            texts.append(sound(part["text"], column, notes))
        elif isinstance(kind, str) and kind != "text":
            raise Unusable(f"not only text: message {place} holds `{kind[:40]}`, and only text is trained here", column)
        else:
            raise Unusable(f"wrong type: a content part of message {place} is not a text", column)
    return "".join(texts)


def _after(before: str) -> str:
    return {"": "comes first", "call": "follows a tool call that has no result"}.get(before, f"follows {before}")
