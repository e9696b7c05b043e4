"""A choice of how to read a file, as it is put to a person: the line to write, and a row read that way."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from studio.core.errors import TO_FILL_IN, DataError
from studio.core.text import shorten
from studio.data.columns import Table
from studio.data.context import Context, Role
from studio.data.formats import FORMATS
from studio.data.leaves import leaves
from studio.data.notes import Unusable
from studio.data.paths import value_at
from studio.data.rows import Conversation, Row

_SHOWN = 60


@dataclass(frozen=True)
class Choice:
    """One way to read a file: what to write under `data:`, and how the first row then reads."""

    columns: dict[str, str]
    sample: str = ""
    format: str = ""
    roles: Mapping[str, Role] = field(default_factory=dict[str, Role])

    @property
    def line(self) -> str:
        """What to write under `data:` in a spec."""
        named = columns_line(self.columns) if self.columns else ""
        speakers = columns_line(self.roles, "roles") if self.roles else ""
        return ", ".join(part for part in (f"format: {self.format}" if self.format else "", named, speakers) if part)

    def as_dict(self) -> dict[str, Any]:
        """As `--json` shows it."""
        named = {"columns": self.columns, "roles": dict(self.roles), "format": self.format or None}
        return {**named, "line": self.line, "sample": self.sample}


class NeedsChoice(DataError):
    """A file can be read in several ways, or in none that is sure: which one must be said. choices: the surest first."""

    def __init__(
        self, message: str, *, hint: str, where: str = "", choices: tuple[Choice, ...] = (), reasons: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint, where=where)
        self.choices, self.reasons = choices, reasons

    def __reduce__(self):  # type: ignore[override] - what it is made again from is its own
        return _again, (self.message, self.hint, self.where, self.choices, self.reasons)

    def as_dict(self) -> dict[str, Any]:
        """With the choices and the reasons, for a program to choose from."""
        return {
            **super().as_dict(),
            "choices": [choice.as_dict() for choice in self.choices],
            "reasons": list(self.reasons),
        }


def _again(message: str, hint: str, where: str, choices: tuple[Choice, ...], reasons: tuple[str, ...]) -> NeedsChoice:
    return NeedsChoice(message, hint=hint, where=where, choices=choices, reasons=reasons)


def asking(message: str, table: Table, file: str, choices: Sequence[Choice], *, reasons: Sequence[str] = ()) -> NeedsChoice:
    """The refusal that asks, with each choice as the line to write and the row it then gives."""
    if not choices:
        listed = "; ".join(f"`{leaf.path}` ({leaf.sample})" for leaf in leaves(table)[:8])
        hint = (
            f"Write under data: columns: {{question: {TO_FILL_IN}, answer: {TO_FILL_IN}}} with the right names. "
            f"The columns hold: {listed}."
        )
        return NeedsChoice(message, hint=hint, where=file, reasons=tuple(reasons))
    hint = "Write under data: " + "  or  ".join(choice.line for choice in choices)
    samples = [choice.sample for choice in choices if choice.sample]
    if samples:
        hint += f"  (read {'that way' if len(choices) == 1 else 'the first way'}, a row is {samples[0]})"
    return NeedsChoice(message, hint=hint, where=file, choices=tuple(choices), reasons=tuple(reasons))


def choice(table: Table, columns: Mapping[str, str], format: str = "", roles: Mapping[str, Role] | None = None) -> Choice:
    """A choice with the first row that can be read that way; a key to choices that are not shown answers nothing."""
    if table.plain.get(columns.get("answer", "")) == "answer key" and "choices" not in columns:
        return Choice(dict(columns), "", format)
    return Choice(dict(columns), _sample(table, columns, format, roles or {}), format, roles or {})


def columns_line(columns: Mapping[str, str], field: str = "columns") -> str:
    """The line that names columns in a spec, e.g. `columns: {question: Frage, answer: "Antwort, kurz"}`, or speakers."""
    return f"{field}: {{" + ", ".join(f"{quoted(role)}: {quoted(name)}" for role, name in columns.items()) + "}"


def quoted(name: str) -> str:
    """A name as YAML flow text: quoted only where it must be."""
    safe = re.fullmatch(r"[^\W\d][\w \-./]*(?<! )", name) and name.lower() not in (
        "yes",
        "no",
        "true",
        "false",
        "null",
        "on",
        "off",
    )
    return name if safe else json.dumps(name, ensure_ascii=False)


def _sample(table: Table, columns: Mapping[str, str], format: str, roles: Mapping[str, Role]) -> str:
    form = next((form for form in FORMATS.values() if (not format or form.name == format) and form.is_made_of(columns)), None)
    if form is None:
        return ""
    for row in table.rows:
        try:
            made = form.convert(_with_paths(row, columns), columns, Context.of(roles, "keep"))
        except Unusable:
            continue
        return _written(made)
    return ""


def _with_paths(row: Row, columns: Mapping[str, str]) -> Row:
    return Row({**row.values, **{name: value_at(row.values, name) for name in columns.values()}}, row.file, row.line)


def _written(conversation: Conversation) -> str:
    if not conversation.messages:
        return f"the text {shorten(conversation.text, _SHOWN)!r}"
    return " → ".join(f"{turn['role']} {shorten(turn['content'], _SHOWN)!r}" for turn in conversation.messages[-2:])
