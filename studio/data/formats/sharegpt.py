"""Format `sharegpt`: `conversations` of `from` and `value`, with function calls and observations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.data.columns import Format, Proposal, Table, lists_of_objects, matches, unused, worth
from studio.data.notes import Notes, Unusable
from studio.data.rows import Conversation, Row
from studio.data.texts import kind_of, optional_text
from studio.data.turns import checked, checked_tools, from_json, note_unknown_tools

EXAMPLE: dict[str, Any] = {
    "conversations": [
        {"from": "system", "value": "You help the customers of a lamp shop."},
        {"from": "human", "value": "Is the Aria lamp in stock?"},
        {"from": "function_call", "value": '{"name": "stock", "arguments": {"product": "Aria lamp"}}'},
        {"from": "observation", "value": '{"pieces": 12}'},
        {"from": "gpt", "value": "Yes, there are 12 in stock."},
    ],
    "tools": '[{"name": "stock", "description": "Pieces in stock.", "parameters": {"type": "object"}}]',
}
ROLES = {
    "conversations": ("conversations", "conversation", "messages", "chat", "dialog", "dialogue", "turns"),
    "system": ("system", "system prompt"),
    "tools": ("tools", "functions"),
}
SPEAKERS = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
    "function_call": "assistant",
    "tool_call": "assistant",
}
_CALLS = frozenset(("function_call", "tool_call"))


def propose(table: Table) -> Proposal | None:
    """A column whose values are lists of objects with `from` and `value`."""
    found = lists_of_objects(table, ("from", "value"), ROLES["conversations"])
    if not found:
        return None
    columns = {"conversations": found[0]}
    columns |= {role: name for role in ("system", "tools") for name in matches(table, ROLES[role])[:1]}
    reasons = (f"`{found[0]}` holds lists of objects with `from` and `value`.", *unused(table, columns))
    unclear = {"conversations": tuple(found)} if len(found) > 1 else {}
    strength = 0.99 if table.plain[found[0]] in ROLES["conversations"] else 0.9
    return Proposal("sharegpt", columns, worth(table, convert, columns, strength), reasons, unclear)


def convert(row: Row, columns: Mapping[str, str], notes: Notes) -> Conversation:
    """The row's turns as messages, checked."""
    column = columns["conversations"]
    raw = from_json(row.values.get(column), column)
    if not isinstance(raw, list):
        raise Unusable(f"wrong type: the conversation is {kind_of(raw)}, not a list of turns", column)
    turns = [_message(turn, place, column) for place, turn in enumerate(raw, 1)]
    system = optional_text(row.values, columns.get("system"), "system prompt", notes)
    if system and not (turns and turns[0]["role"] == "system"):
        turns.insert(0, {"role": "system", "content": system})
    messages = checked(turns, column, notes)
    tools: tuple[dict[str, Any], ...] = ()
    if "tools" in columns:
        tools = checked_tools(row.values.get(columns["tools"]), columns["tools"], notes)
        note_unknown_tools(messages, tools, notes)
    return Conversation(messages, tools, "", row.file, row.line)


def _message(turn: Any, place: int, column: str) -> dict[str, Any]:
    """One turn as an OpenAI message; a function call's value is JSON: one call or a list of calls."""
    if not isinstance(turn, dict):
        raise Unusable(f"wrong type: turn {place} is {kind_of(turn)}, not an object", column)
    speaker = turn.get("from")
    if not isinstance(speaker, str):
        raise Unusable(f"missing role: turn {place} has no `from`", column)
    role = SPEAKERS.get(speaker.lower())
    if role is None:
        raise Unusable(f"unknown role: `{speaker[:40]}` in turn {place}", column)
    value = turn.get("value")
    if speaker.lower() not in _CALLS:
        return {"role": role, "content": value}
    try:
        calls = from_json(value, column)
    except Unusable:
        raise Unusable(f"malformed tool call: turn {place} is not JSON", column) from None
    if not calls or not isinstance(calls, (list, dict)):
        raise Unusable(f"malformed tool call: turn {place} holds none", column)
    return {"role": role, "content": "", "tool_calls": [calls] if isinstance(calls, dict) else calls}


FORMAT = Format("sharegpt", "ShareGPT", EXAMPLE, ROLES, ("conversations",), propose, convert)
