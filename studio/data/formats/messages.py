"""Format `messages`: OpenAI chat messages, with tools and tool calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.data.columns import Format, Proposal, Table, lists_of_objects, matches, unused, worth
from studio.data.notes import Notes
from studio.data.rows import Conversation, Row
from studio.data.turns import checked, checked_tools, note_unknown_tools

EXAMPLE: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "You help the customers of a lamp shop."},
        {"role": "user", "content": "Is the Aria lamp in stock?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "stock", "arguments": '{"product": "Aria lamp"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": '{"pieces": 12}'},
        {"role": "assistant", "content": "Yes, there are 12 in stock."},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "stock",
                "description": "Pieces in stock.",
                "parameters": {"type": "object", "properties": {"product": {"type": "string"}}},
            },
        }
    ],
}
ROLES = {
    "messages": ("messages", "conversation", "conversations", "chat", "dialog", "dialogue", "turns"),
    "tools": ("tools", "functions"),
}


def propose(table: Table) -> Proposal | None:
    """A column whose values are lists of objects with a `role`."""
    found = lists_of_objects(table, ("role",), ROLES["messages"])
    if not found:
        return None
    columns = {"messages": found[0]}
    columns |= {role: name for role in ("tools",) for name in matches(table, ROLES[role])[:1]}
    reasons = (f"`{found[0]}` holds lists of objects with `role` and `content`.", *unused(table, columns))
    unclear = {"messages": tuple(found)} if len(found) > 1 else {}
    strength = 0.99 if table.plain[found[0]] in ROLES["messages"] else 0.9
    return Proposal("messages", columns, worth(table, convert, columns, strength), reasons, unclear)


def convert(row: Row, columns: Mapping[str, str], notes: Notes) -> Conversation:
    """The row's messages, checked."""
    column = columns["messages"]
    messages = checked(row.values.get(column), column, notes)
    tools: tuple[dict[str, Any], ...] = ()
    if "tools" in columns:
        tools = checked_tools(row.values.get(columns["tools"]), columns["tools"], notes)
        note_unknown_tools(messages, tools, notes)
    return Conversation(messages, tools, "", row.file, row.line)


FORMAT = Format("messages", "OpenAI messages", EXAMPLE, ROLES, ("messages",), propose, convert)
