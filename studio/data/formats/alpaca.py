"""Format `alpaca`: instruction, input, output; optionally system and history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.data.columns import Format, Proposal, Table, by_name
from studio.data.notes import Notes, Unusable
from studio.data.rows import Conversation, Row
from studio.data.texts import kind_of, optional_text, sound, text_of
from studio.data.turns import from_json

EXAMPLE: dict[str, Any] = {
    "instruction": "Say how long the warranty is.",
    "input": "Aria lamp",
    "output": "The Aria lamp has a warranty of 24 months.",
}
ROLES = {
    "instruction": ("instruction",),
    "input": ("input",),
    "output": ("output", "response"),
    "system": ("system", "system prompt"),
    "history": ("history",),
}


def propose(table: Table) -> Proposal | None:
    """Columns `instruction` and `output`, or `instruction`, `input` and `response`."""
    names = set(table.plain.values())
    if "instruction" not in names or not ("output" in names or {"input", "response"} <= names):
        return None
    return by_name(table, "alpaca", ROLES, ("instruction", "output"), convert, 0.97)


def convert(row: Row, columns: Mapping[str, str], notes: Notes) -> Conversation:
    """The instruction, with its input below it, as the question."""
    values = row.values
    question = text_of(values, columns["instruction"], "question", notes)
    extra = optional_text(values, columns.get("input"), "input", notes)
    answer = text_of(values, columns["output"], "answer", notes)
    system = optional_text(values, columns.get("system"), "system prompt", notes)
    messages = [
        *([{"role": "system", "content": system}] if system else ()),
        *(_past(values, columns["history"], notes) if "history" in columns else ()),
        {"role": "user", "content": f"{question}\n\n{extra}" if extra else question},
        {"role": "assistant", "content": answer},
    ]
    return Conversation(tuple(messages), (), "", row.file, row.line)


def _past(values: dict[str, Any], column: str, notes: Notes) -> list[dict[str, Any]]:
    """Earlier turns: a list of pairs of question and answer."""
    history = from_json(values.get(column), column) or []
    if not isinstance(history, list):
        raise Unusable(f"wrong type: the history is {kind_of(history)}, not a list of pairs", column)
    past: list[dict[str, Any]] = []
    for pair in history:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) and text.strip() for text in pair):
            raise Unusable("wrong type: the history is not made of pairs of two texts", column)
        past += [
            {"role": role, "content": sound(text, column, notes)}
            for role, text in zip(("user", "assistant"), pair, strict=True)
        ]
    return past


FORMAT = Format("alpaca", "Alpaca", EXAMPLE, ROLES, ("instruction", "output"), propose, convert)
