"""A document as its reader gives it: pages of blocks, before passages are cut."""

from __future__ import annotations

from typing import ClassVar, Literal

from studio.core.records import Record
from studio.documents.records import Dropped

Kind = Literal["heading", "paragraph", "list", "table", "code"]


class Block(Record):
    """A heading, a paragraph, a list, a table (as Markdown) or code."""

    kind: Kind
    text: str
    level: int = 0
    """Of a heading, from 1."""


class ReadPage(Record):
    """The blocks of a page."""

    number: int
    blocks: tuple[Block, ...]
    scan: bool = False
    ocr_score: float | None = None


class Reading(Record):
    """`reading.json`: all that was read from a document, so that leaving pages out does not read it again."""

    label: ClassVar[str] = "reading"
    remedy: ClassVar[str] = "Add the document again."

    title: str = ""
    has_pages: bool = False
    pages: tuple[ReadPage, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    remarks: tuple[str, ...] = ()
