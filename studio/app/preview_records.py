"""What a preview of rows is: written by `studio data preview --json`, read by the pages and notebooks."""

from __future__ import annotations

from typing import ClassVar

from studio.core.records import Record


class PreviewToken(Record):
    """A token of a row: whether it is learned, a control token, or text that people wrote."""

    id: int
    text: str
    trained: bool
    control: bool
    quoted: bool


class PreviewRecord(Record):
    """A row token by token, as `studio data preview --json` writes it and the pages read it."""

    label: ClassVar[str] = "preview"

    file: str
    line: int
    trained: int
    """Tokens that are learned."""
    tokens: tuple[PreviewToken, ...]
    notes: tuple[str, ...] = ()
    lookalikes: tuple[str, ...] = ()
