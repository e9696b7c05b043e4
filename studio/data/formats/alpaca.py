"""Format `alpaca`: instruction, input, output; optionally system and history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.core.messages import chat_message
from studio.data.columns import SHARED, Format, Proposal, Table, by_name
from studio.data.context import Context
from studio.data.rows import Conversation, Row
from studio.data.texts import is_absent, optional_text, text_of

EXAMPLE: dict[str, Any] = {
    "instruction": "Say how long the warranty is.",
    "input": "Aria lamp",
    "output": "The Aria lamp has a warranty of 24 months.",
}
ROLES = {
    "instruction": ("instruction",),
    "input": ("input",),
    "output": ("output", "response"),
    **SHARED,
}


def propose(table: Table) -> Proposal | None:
    """Columns `instruction` and `output`, or `instruction`, `input` and `response`."""
    names = set(table.plain.values())
    if "instruction" not in names or not ("output" in names or {"input", "response"} <= names):
        return None
    return by_name(table, "alpaca", ROLES, ("instruction", "output"), convert, 0.97)


def convert(row: Row, columns: Mapping[str, str], context: Context) -> Conversation:
    """The instruction, with its input below it, as the question. An empty instruction leaves the input as the question."""
    values, notes = row.values, context.notes
    extra = optional_text(values, columns.get("input"), "input", notes)
    instruction = columns["instruction"]
    if extra and is_absent(values.get(instruction)):
        question, extra = extra, ""
        notes.add("an empty instruction: its input is the question", instruction)
    else:
        question = text_of(values, instruction, "question", notes)
    answer = text_of(values, columns["output"], "answer", notes)
    messages = (
        chat_message("user", f"{question}\n\n{extra}" if extra else question),
        chat_message("assistant", answer),
    )
    return Conversation(messages, (), "", row.file, row.line)


FORMAT = Format("alpaca", "Alpaca", EXAMPLE, ROLES, ("instruction", "output"), propose, convert)
