"""Format `templated`: one text a row that already holds a whole conversation, by a chat template or as a transcript."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.data.columns import SHARED, Format, Proposal, Table, shared_columns, unused, worth
from studio.data.context import Context
from studio.data.notes import Notes, Unusable
from studio.data.rows import Conversation, Row
from studio.data.texts import text_of
from studio.data.turns import checked
from studio.data.turntext import template_of, turns_of_template, turns_of_text

EXAMPLE: dict[str, Any] = {
    "text": "<|im_start|>user\nIs the Aria lamp in stock?<|im_end|>\n<|im_start|>assistant\nYes, there are 12.<|im_end|>\n"
}
ROLES = {"templated": ("text", "content", "prompt", "conversation", "chat", "dialog", "dialogue"), **SHARED}


def propose(table: Table) -> Proposal | None:
    """A column whose texts mostly hold a chat template's control tokens, or are transcripts with both speakers' names."""
    for name in table.names:
        if table.plain[name] in SHARED["history"]:
            continue
        markup = next((kind for value in _texts(table, name) if (kind := template_of(value))), "")
        if markup and table.share(name, lambda value: isinstance(value, str) and bool(template_of(value))) > 0.5:
            reason = f"`{name}` holds conversations already written by a chat template ({markup}); they are taken apart."
        elif table.share(name, lambda value: isinstance(value, str) and turns_of_text(value) is not None) > 0.5:
            reason = f"`{name}` holds transcripts with the speakers' names; they are taken apart."
        else:
            continue
        columns = {"templated": name}
        columns |= shared_columns(table, columns.values(), ROLES)
        confidence = worth(table, convert, columns, 0.98)
        return Proposal("templated", columns, confidence, (reason, *unused(table, columns)))
    return None


def convert(row: Row, columns: Mapping[str, str], context: Context) -> Conversation:
    """The turns that the text holds, without the template's tokens."""
    column = columns["templated"]
    text = text_of(row.values, column, "text", Notes())  # what is odd is noted of the turns, whose tokens are gone
    turns = turns_of_template(text) or turns_of_text(text)
    if turns is None:
        raise Unusable("template text that does not come apart: it is not wholly made of turns", column)
    return Conversation(checked(turns, column, context), (), "", row.file, row.line)


def _texts(table: Table, name: str) -> list[str]:
    return [value for row in table.rows if isinstance(value := row.values.get(name), str)]


FORMAT = Format("templated", "Already in a template", EXAMPLE, ROLES, ("templated",), propose, convert)
