"""Format `prompt_completion`: a prompt and its completion, each a text or a list of messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.data.columns import Format, Proposal, Table, by_name
from studio.data.notes import Notes
from studio.data.rows import Conversation, Row
from studio.data.texts import optional_text, text_of
from studio.data.turns import checked

EXAMPLE: dict[str, Any] = {
    "prompt": "How long is the warranty of the Aria lamp?",
    "completion": "The Aria lamp has a warranty of 24 months.",
}
ROLES = {"prompt": ("prompt",), "completion": ("completion",), "system": ("system", "system prompt")}


def propose(table: Table) -> Proposal | None:
    """Columns `prompt` and `completion`."""
    return by_name(table, "prompt_completion", ROLES, ("prompt", "completion"), convert, 0.97)


def convert(row: Row, columns: Mapping[str, str], notes: Notes) -> Conversation:
    """The prompt as a user's turn and the completion as the answer; lists of messages are put one after the other."""
    values = row.values
    prompt, completion = values.get(columns["prompt"]), values.get(columns["completion"])
    system = optional_text(values, columns.get("system"), "system prompt", notes)
    first = [{"role": "system", "content": system}] if system else []
    if isinstance(prompt, list) or isinstance(completion, list):
        asked = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
        told = completion if isinstance(completion, list) else [{"role": "assistant", "content": completion}]
        messages = checked([*first, *asked, *told], columns["prompt"], notes)
    else:
        messages = (
            *first,
            {"role": "user", "content": text_of(values, columns["prompt"], "question", notes)},
            {"role": "assistant", "content": text_of(values, columns["completion"], "answer", notes)},
        )
    return Conversation(messages, (), "", row.file, row.line)


FORMAT = Format("prompt_completion", "Prompt and completion", EXAMPLE, ROLES, ("prompt", "completion"), propose, convert)
