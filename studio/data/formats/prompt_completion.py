"""Format `prompt_completion`: a prompt and its completion, each a text or a list of messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.core.messages import chat_message
from studio.core.plain import is_list
from studio.data.columns import SHARED, Format, Proposal, Table, by_name
from studio.data.context import Context
from studio.data.notes import Unusable
from studio.data.rows import Conversation, Row
from studio.data.texts import text_of
from studio.data.turns import checked
from studio.data.turntext import template_of, turns_of_template

EXAMPLE: dict[str, Any] = {
    "prompt": "How long is the warranty of the Aria lamp?",
    "completion": "The Aria lamp has a warranty of 24 months.",
}
ROLES = {"prompt": ("prompt",), "completion": ("completion",), **SHARED}


def propose(table: Table) -> Proposal | None:
    """Columns `prompt` and `completion`."""
    return by_name(table, "prompt_completion", ROLES, ("prompt", "completion"), convert, 0.97)


def convert(row: Row, columns: Mapping[str, str], context: Context) -> Conversation:
    """The prompt as a user's turn and the completion as the answer; lists of messages are put one after the other."""
    values = row.values
    prompt, completion = values.get(columns["prompt"]), values.get(columns["completion"])
    if isinstance(prompt, str) and isinstance(completion, str) and template_of(prompt):
        turns = turns_of_template(prompt + completion)
        if turns is None:
            raise Unusable("template text that does not come apart: it is not wholly made of turns", columns["prompt"])
        messages = checked(turns, columns["prompt"], context)
    elif is_list(prompt) or is_list(completion):
        asked = prompt if is_list(prompt) else [{"role": "user", "content": prompt}]
        answered = completion if is_list(completion) else [{"role": "assistant", "content": completion}]
        messages = checked([*asked, *answered], columns["prompt"], context)
    else:
        messages = (
            chat_message("user", text_of(values, columns["prompt"], "question", context.notes)),
            chat_message("assistant", text_of(values, columns["completion"], "answer", context.notes)),
        )
    return Conversation(messages, (), "", row.file, row.line)


FORMAT = Format("prompt_completion", "Prompt and completion", EXAMPLE, ROLES, ("prompt", "completion"), propose, convert)
