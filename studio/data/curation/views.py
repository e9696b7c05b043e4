"""What the desk of a dataset version shows: rows, how far the curation is, which rows are meant, what was done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from studio.data import surprise
from studio.data.curation.edits import Content, Status


@dataclass(frozen=True)
class DeskRow:
    """A row as the desk shows it."""

    number: int
    """1 is the first of the version."""
    id: str
    file: str
    line: int
    status: Status
    original: Content
    edited: Content | None
    """What it says after the edits; None while they change nothing."""
    checks: tuple[str, ...] = ()
    """The checks that found something in it."""
    loss: float | None = None
    """A base model's loss in its last answer behind the question, in nats a token; None where it was not scored."""
    bare: float | None = None
    """The same without the question; None for plain text as well."""

    @property
    def content(self) -> Content:
        """What it says now."""
        return self.edited or self.original

    @property
    def scored(self) -> str:
        """The losses in words, empty where there are none."""
        return "" if self.loss is None else surprise.in_words(self.loss, self.bare)


@dataclass(frozen=True)
class Progress:
    """How far the curation of a version is, in rows."""

    total: int
    approved: int
    excluded: int
    edited: int

    @property
    def open(self) -> int:
        """Rows nobody has decided about."""
        return self.total - self.approved - self.excluded

    def __str__(self) -> str:
        changed = f", {self.edited:,} edited" if self.edited else ""
        return f"{self.approved:,} approved, {self.excluded:,} excluded, {self.open:,} to see{changed}"


@dataclass(frozen=True)
class Query:
    """Which rows of a desk: all conditions that are given hold."""

    check: str = ""
    status: Status | Literal["", "edited", "added"] = ""
    """added: rows that people made of a model's answers."""
    text: str = ""
    rows: tuple[str, ...] = ()
    """Ids, or numbers from 1, of single rows."""
    every: bool = False
    """True to say that all rows are meant; nothing else has to be given then."""

    def __bool__(self) -> bool:
        return bool(self.check or self.status or self.text or self.rows or self.every)


@dataclass(frozen=True)
class Batch:
    """Edits that were made, or undone, together."""

    number: int
    count: int
    action: str
    """What was done, e.g. `exclude`."""
    unchanged: int = 0
    """Rows that were asked for and had nothing to change."""
    skipped: tuple[str, ...] = field(default=())
