"""The turns of a conversation: known roles in a right order, tool calls in one shape, an answer at the end.

What comes out is what a chat template takes: `role` and `content`; `tool_calls` with `arguments` as an object (most
templates print them as JSON themselves); `tool_call_id` and `name` on tool results; `reasoning_content` (also
known as `thinking` or `reasoning`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import orjson

from studio.core.messages import ChatMessage, Tool, ToolCall, ToolFunction
from studio.core.plain import is_items, is_list, is_object
from studio.data.context import Context
from studio.data.message_parts import opened_parts
from studio.data.notes import Notes, Unusable
from studio.data.said_calls import calls_said, result_said
from studio.data.texts import joined_parts, kind_of, python_literal, sound
from studio.data.times import oldest_first
from studio.data.turn_pairs import turns_of_pairs
from studio.models.turns import REASONING

CALLER = "call"
"""The speaker of ShareGPT turns whose text is a tool call as JSON."""
SPEAKERS = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter", "customer", "client", "visitor"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "model", "chatbot", "ai", "llm", "moss"), "assistant"),
    **dict.fromkeys(("agent", "support", "operator"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "function_response", "tool_response", "ipython"), "tool"),
    **dict.fromkeys(("function_call", "tool_call"), CALLER),
}
"""Names of speakers in lower case, and what a chat template calls them."""
EVERYBODY = "*"
"""The name in `data.roles` that stands for every speaker who is not named."""
ROLE_KEYS = ("role", "from", "speaker", "author", "sender")
"""Keys of a message that may name its speaker, the usual one first."""
CONTENT_KEYS = ("content", "value", "text", "message", "body", "utterance")
"""Keys of a message that may hold what is said."""
TRAIN_KEYS = ("weight", "train", "training", "trainable", "loss")
"""Keys of a message that may say whether it is learned: 0 or false means that it is only read."""

_BEFORE = {
    "system": frozenset(("",)),
    "user": frozenset(("", "system", "assistant")),
    "assistant": frozenset(("user", "tool")),
    "tool": frozenset(("call", "tool")),
}
_ANY_ORDER = {
    "system": frozenset(("", "system", "user", "assistant", "tool")),
    "user": frozenset(("", "system", "user", "assistant", "tool")),
    "assistant": frozenset(("", "system", "user", "assistant", "tool")),
    "tool": frozenset(("call", "tool")),
}
_PLAIN = frozenset(("role", "content"))
_KNOWN_KEYS = frozenset(
    ("name", "tool_calls", "tool_call_id", "function_call", *REASONING, *ROLE_KEYS, *CONTENT_KEYS, *TRAIN_KEYS)
)


def checked(raw: object, column: str, context: Context) -> tuple[ChatMessage, ...]:
    """Messages as a chat template takes them, ending with an assistant's that is trained.

    An answer that is read but not learned has `"train": False`. Turns after the last trained answer are left out with a
    note. Raises Unusable for anything that does not fit: unknown role, roles out of order (as far as `context.turns`
    minds), empty turn, image, malformed tool call, no assistant turn.
    """
    notes = context.notes
    allowed = _BEFORE if context.turns == "strict" else _ANY_ORDER
    raw = from_json(raw, column)
    if not is_items(raw):
        raise Unusable(f"wrong type: the conversation is {kind_of(raw)}, not a list of messages", column)
    messages: list[ChatMessage] = []
    before, end = "", 0
    calls: frozenset[str] = frozenset()
    given: Sequence[Any] = _by_time(opened_parts(turns_of_pairs(raw, column, notes)), column, notes)
    for place, message in enumerate(given, 1):
        if not is_object(message):
            raise Unusable(f"wrong type: message {place} is {kind_of(message)}, not an object", column)
        if len(message) > 2 and _is_private(message):
            notes.add("messages marked as private were left out", column)
            continue
        role, message = _as_openai(message, place, column, context)
        if role == "system" and not message.get("content") and not messages:
            continue  # an empty system prompt is none
        if role == "tool" and before == "assistant" and messages and (said := calls_said(messages[-1]["content"])):
            messages[-1] = _calling(messages[-1], said, column)
            notes.add("tool calls written in an answer's text were read as calls", column)
            before = "call"
        if before not in allowed[role]:
            raise Unusable(f"roles out of order: message {place} ({role}) {_after(before)}", column)
        turn = _turn(message, role, place, column, notes)
        if context.turns == "join" and messages and _joins(messages[-1], turn):
            messages[-1] = {**messages[-1], "content": f"{messages[-1]['content']}\n\n{turn['content']}"}
            notes.add("neighbouring turns of one speaker were joined", column)
            continue
        if role == "assistant":
            calls = frozenset(call["id"] for call in turn.get("tool_calls", ()) if "id" in call)
            before = "call" if "tool_calls" in turn else role
            end = end if turn.get("train") is False else len(messages) + 1
        else:
            if role == "tool" and calls and turn.get("tool_call_id") not in (None, *calls):
                raise Unusable(f"malformed tool result: message {place} answers a call that was not made", column)
            before = role
        messages.append(turn)
    if not end:
        if any(turn["role"] == "assistant" for turn in messages):
            raise Unusable("every answer is marked as not to be trained", column)
        raise Unusable("no assistant turn", column)
    if end < len(messages):
        unlearned = any(turn["role"] == "assistant" for turn in messages[end:])
        notes.add(f"turns after the last {'trained ' if unlearned else ''}answer were left out", column)
    return tuple(messages[:end])


def _calling(turn: ChatMessage, said: tuple[str, list[dict[str, Any]]], column: str) -> ChatMessage:
    """The answer with the calls that its text says as calls, and what else it says as its text."""
    rest, calls = said
    return {**turn, "content": rest, "tool_calls": [tool_call(call, 0, column) for call in calls]}


def _by_time(raw: Sequence[Any], column: str, notes: Notes) -> Sequence[Any]:
    """The messages, turned round with a note where their times say that the newest stands first."""
    if len(raw) < 2 or not is_object(raw[0]) or len(raw[0]) < 3 or (turned := oldest_first(raw)) is raw:
        return raw
    notes.add("messages whose times say that the newest stood first were turned round", column)
    return turned


def checked_tools(raw: object, column: str, notes: Notes) -> tuple[Tool, ...]:
    """Tool definitions as `{"type": "function", "function": {...}}`; bare ones are wrapped. Raises Unusable."""
    raw = from_json(raw, column)
    if raw is None or raw == "" or raw == []:
        return ()
    if not is_list(raw):
        raise Unusable(f"malformed tools: they are {kind_of(raw)}, not a list", column)
    tools: list[Tool] = []
    for place, tool in enumerate(raw, 1):
        inner = tool.get("function", tool) if is_object(tool) else None
        if not is_object(inner) or not isinstance(inner.get("name"), str):
            raise Unusable(f"malformed tools: tool {place} has no name", column)
        tools.append(Tool(type="function", function=cast("ToolFunction", inner)))
    return tuple(tools)


def note_unknown_tools(messages: tuple[ChatMessage, ...], tools: tuple[Tool, ...], notes: Notes) -> None:
    """Note calls of tools that the row does not define, if it defines any."""
    known = {tool["function"]["name"] for tool in tools}
    called = {call["function"]["name"] for turn in messages for call in turn.get("tool_calls", ())}
    if known and called - known:
        notes.add("a tool is called that the row does not define")


def tool_call(raw: Any, number: int, column: str) -> ToolCall:
    """A tool call with its arguments as an object. raw: `{"function": {...}}` or `{"name", "arguments"}`."""
    inner = raw.get("function", raw) if is_object(raw) else None
    if not is_object(inner) or not isinstance(inner.get("name"), str) or not inner["name"]:
        raise Unusable(f"malformed tool call: message {number} has a call without a name", column)
    arguments: Any = inner.get("arguments", inner.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments) if arguments.strip() else {}
        except orjson.JSONDecodeError:
            raise Unusable(f"malformed tool call: the arguments in message {number} are not JSON", column) from None
    arguments = {} if arguments is None else arguments
    if not is_object(arguments):
        raise Unusable(f"malformed tool call: the arguments in message {number} are {kind_of(arguments)}", column)
    call: ToolCall = {"type": "function", "function": {"name": inner["name"], "arguments": arguments}}
    return {"id": str(raw["id"]), **call} if raw.get("id") else call


def from_json(value: object, column: str) -> Any:
    """The value, or what its JSON text holds: tables store lists as text. Raises Unusable for broken JSON."""
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        if (literal := python_literal(value)) is not None:
            return literal
        raise Unusable("broken JSON: the cell is not a JSON list", column) from None


def key_of(message: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    """The first of `keys` that the message has with a value, or else at all."""
    keys = tuple(keys)
    return next((key for key in keys if message.get(key) is not None), None) or next(
        (key for key in keys if key in message), None
    )


def is_said(message: Mapping[str, Any]) -> bool:
    """Whether a message is one text under its speaker's name."""
    return len(message) == 1 and isinstance(next(iter(message.values())), str) and message.keys().isdisjoint(CONTENT_KEYS)


def _as_openai(message: dict[str, Any], number: int, column: str, context: Context) -> tuple[str, dict[str, Any]]:
    """The message's role, and the message with its content under `content`; a spoken tool call as `tool_calls`."""
    speaker = message.get("role")
    if speaker is None:
        key = key_of(message, ROLE_KEYS)
        speaker = message[key] if key else None
    if speaker is None and is_said(message):  # {"user": "Hello"}
        speaker, text = next(iter(message.items()))
        message = {"content": text}
    if is_object(speaker):  # {"author": {"role": "user"}}, as some exports write it
        speaker = speaker.get("role") or speaker.get("name")
    if speaker is None:
        raise Unusable(f"missing role: message {number} has none", column)
    role = None
    if isinstance(speaker, str | int):
        name = str(speaker).strip().lower()
        role = context.roles.get(name) or SPEAKERS.get(name) or context.roles.get(EVERYBODY)
    if role is None:
        raise Unusable(f"unknown role: `{str(speaker)[:40]}` in message {number}", column)
    if role != CALLER and "content" in message:
        return role, message
    key = key_of(message, CONTENT_KEYS)
    content = message[key] if key else None
    if role == CALLER:
        return "assistant", {**message, "content": "", "tool_calls": _spoken_calls(content, number, column)}
    return role, {**message, "content": content}


def _spoken_calls(content: object, number: int, column: str) -> list[Any]:
    """The tool calls in a turn whose text is one call, or a list of calls, as JSON."""
    try:
        calls = from_json(content, column)
    except Unusable:
        raise Unusable(f"malformed tool call: message {number} is not JSON", column) from None
    if calls and is_object(calls):
        return [calls]
    if calls and is_list(calls):
        return calls
    raise Unusable(f"malformed tool call: message {number} holds none", column)


def _joins(before: Mapping[str, Any], turn: Mapping[str, Any]) -> bool:
    """Whether two neighbouring turns are one speaker's and nothing is lost by joining them."""
    same = before["role"] == turn["role"] != "tool" and before.get("train") == turn.get("train")
    return same and before.keys() <= {"role", "content", "train"} and turn.keys() <= {"role", "content", "train"}


def _turn(message: dict[str, Any], role: str, number: int, column: str, notes: Notes) -> ChatMessage:
    content = message.get("content")
    text = (
        sound(content, column, notes) if isinstance(content, str) else joined_parts(content, f"message {number}", column, notes)
    )
    turn: ChatMessage = {"role": role, "content": result_said(text) if role == "tool" else text}
    if len(message) > 2 or message.keys() - _PLAIN:
        _rest(turn, message, number, column, notes)
    if (not text or text.isspace()) and "tool_calls" not in turn and role != "tool":
        what = {"user": "question", "assistant": "answer", "system": "system prompt"}[role]
        raise Unusable(f"empty {what}: message {number}", column)
    return turn


def _rest(turn: ChatMessage, message: dict[str, Any], number: int, column: str, notes: Notes) -> None:
    """What a message has beyond role and content."""
    calls = message.get("tool_calls") or ([message["function_call"]] if message.get("function_call") else [])
    if calls:
        if turn["role"] != "assistant" or not is_list(calls):
            raise Unusable(f"malformed tool call: message {number} ({turn['role']}) cannot call tools so", column)
        turn["tool_calls"] = [tool_call(call, number, column) for call in calls]
    for key in ("name", "tool_call_id"):
        if isinstance(message.get(key), str) and message[key]:
            turn[key] = sound(message[key], column, notes)
    _reasoning(turn, message, number, column, notes)
    if turn["role"] == "assistant" and any(_is_no(message.get(key)) for key in TRAIN_KEYS):
        turn["train"] = False
    for key in message.keys() - _KNOWN_KEYS:
        if message[key] is not None:
            notes.add(f"message key `{str(key)[:40]}` is not used", column)


def _reasoning(turn: ChatMessage, message: Mapping[str, Any], number: int, column: str, notes: Notes) -> None:
    """What the assistant thought, under whichever of its usual names; one text, or none."""
    key, given = next(((key, message[key]) for key in REASONING if message.get(key)), ("", None))
    if is_object(given) or is_list(given):
        raise Unusable(f"wrong type: `{key}` of message {number} is {kind_of(given)}, not text", column)
    if isinstance(given, str) and turn["role"] == "assistant":
        if not given.isspace():
            turn["reasoning_content"] = sound(given, column, notes)
    elif given is not None:
        notes.add(f"message key `{key}` is not used", column)


def _is_no(value: object) -> bool:
    """Whether a weight or a flag says that a turn is not trained."""
    return value is False or (isinstance(value, (int, float)) and value == 0) or str(value).lower() in ("false", "0")


def _is_private(message: Mapping[str, Any]) -> bool:
    """Whether a help desk's message is a note among its staff, which no customer has read."""
    if message.get("type") == "note" or message.get("public") is False:
        return True
    return any(message.get(key) is True for key in ("private", "internal", "is_private", "is_internal"))


def _after(before: str) -> str:
    return {"": "comes first", "call": "follows a tool call that has no result"}.get(before, f"follows {before}")
