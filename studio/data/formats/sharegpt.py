"""Format `sharegpt`: `conversations` of `from` and `value`, with function calls and observations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.data.columns import SHARED, Format, Proposal, Table, lists_of_objects, shared_columns, unused, worth
from studio.data.context import Context
from studio.data.formats.messages import with_answer
from studio.data.rows import Conversation, Row
from studio.data.turns import checked, from_json

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
    "answer": (),
    **SHARED,
}


def propose(table: Table) -> Proposal | None:
    """A column whose values are lists of objects with `from` and `value`."""
    candidates = lists_of_objects(table, lambda item: {"from", "value"} <= item.keys(), ROLES["conversations"])
    if not candidates:
        return None
    columns = {"conversations": candidates[0]}
    columns |= shared_columns(table, columns.values(), ROLES)
    reasons = (f"`{candidates[0]}` holds lists of objects with `from` and `value`.", *unused(table, columns))
    unclear = {"conversations": tuple(candidates)} if len(candidates) > 1 else {}
    strength = 0.99 if table.plain[candidates[0]] in ROLES["conversations"] else 0.9
    return Proposal("sharegpt", columns, worth(table, convert, columns, strength), reasons, unclear)


def convert(row: Row, columns: Mapping[str, str], context: Context) -> Conversation:
    """The row's turns as messages, checked; `answer` comes after them."""
    column = columns["conversations"]
    raw = from_json(row.values.get(column), column)
    if "answer" in columns:
        raw = with_answer(raw, row.values.get(columns["answer"]), columns["answer"])
    return Conversation(checked(raw, column, context), (), "", row.file, row.line)


FORMAT = Format("sharegpt", "ShareGPT", EXAMPLE, ROLES, ("conversations",), propose, convert)
