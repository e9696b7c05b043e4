"""Format `text`: plain text, learned as it stands: documents, passages of a handbook, code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from studio.data.columns import LABELS, SHARED, Format, Proposal, Table, matches, shared_columns, unused, worth
from studio.data.context import Context
from studio.data.leaves import marks
from studio.data.rows import Conversation, Row
from studio.data.texts import text_of

EXAMPLE: dict[str, Any] = {"text": "The Aria lamp is made of oak and glass. It has a warranty of 24 months."}
ROLES = {"text": ("text", "content", "document", "body", "passage"), **{role: SHARED[role] for role in ("split", "weight")}}


def propose(table: Table) -> Proposal | None:
    """A column `text` and no other column of texts: beside a `label` or a `summary` it would be half of something else."""
    found = [name for name in matches(table, ROLES["text"]) if table.is_text(name)]
    if not found:
        return None
    columns = {"text": found[0]}
    others = [name for name in table.texts() if name != found[0]]
    label = [name for name in table.names if name != found[0] and LABELS.intersection(table.plain[name].split())]
    belongs = list(dict.fromkeys((*label, *others, *marks(table))))
    strength = 0.45 if belongs else 0.97 if table.plain[found[0]] == "text" else 0.8
    columns |= shared_columns(table, columns.values(), ROLES)
    reasons = [f"`{found[0]}` holds texts."]
    if belongs:
        reasons.append(f"It is not alone: {', '.join(f'`{name}`' for name in belongs)} may belong to it.")
    confidence = worth(table, convert, columns, strength)
    return Proposal("text", columns, confidence, (*reasons, *unused(table, columns)))


def convert(row: Row, columns: Mapping[str, str], context: Context) -> Conversation:
    """The text as it stands."""
    return Conversation((), (), text_of(row.values, columns["text"], "text", context.notes), row.file, row.line)


FORMAT = Format("text", "Plain text", EXAMPLE, ROLES, ("text",), propose, convert)
