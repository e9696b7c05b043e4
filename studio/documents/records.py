"""What reading documents writes: passages, pages, and what was left out of them with the reason."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import ClassVar, Self

from studio.core.errors import StudioError
from studio.core.records import Record

_REMEDY = "Remove the collection's folder, and add its documents again."


class Passage(Record):
    """A stretch of a document's text: what is embedded, searched, cited, and what rows are made from.

    `text` is exactly the characters from `start` to `end` of the document's text.
    """

    label: ClassVar[str] = "passage"
    remedy: ClassVar[str] = _REMEDY

    id: str
    """From its document, headings and text: a passage that did not change keeps its id when the document is read again."""
    document: str
    """The document's name in its collection, e.g. `handbook/leave.pdf`."""
    page: int | None = None
    """The page it begins on, from 1 (a slide of a presentation, a chapter of a book); None for documents without pages."""
    heading_path: tuple[str, ...] = ()
    """The headings it stands under, the outermost first."""
    start: int
    """Where it begins in the document's text, in characters."""
    end: int
    text: str
    sha256: str
    """Of the text alone."""

    @classmethod
    def of(
        cls, document: str, page: int | None, heading_path: Sequence[str], start: int, text: str, repeat: int = 0
    ) -> Passage:
        """The passage with its id and hash. repeat: how many passages with the same headings and text come before it."""
        content = "\0".join((document, *heading_path, text, *([str(repeat)] if repeat else ())))
        return cls(
            id=hashlib.sha256(content.encode()).hexdigest()[:16],
            document=document,
            page=page,
            heading_path=tuple(heading_path),
            start=start,
            end=start + len(text),
            text=text,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
        )

    @property
    def source(self) -> str:
        """Where it stands, in words: `leave.pdf, page 3, Parental leave`."""
        page = f", page {self.page}" if self.page is not None else ""
        return f"{self.document}{page}{f', {self.heading_path[-1]}' if self.heading_path else ''}"


class Dropped(Record):
    """Text of a document that is in no passage, and why."""

    reason: str
    """running head, running foot, page number, date, table of contents, references, around the article, or excluded."""
    pages: tuple[int, ...] = ()
    """The pages it stood on."""
    text: str
    """Its beginning."""


class Page(Record):
    """A page of a document: its text as the passages have it."""

    label: ClassVar[str] = "page"
    remedy: ClassVar[str] = _REMEDY

    number: int
    """From 1; documents without pages are one page."""
    text: str
    start: int
    """Where it begins in the document's text."""
    scan: bool = False
    """The page is a picture: it has no text of its own."""
    ocr_score: float | None = None
    """How sure the text recognition was, 0 to 1, where the text comes from it."""
    tables: int = 0
    excluded: bool = False
    """A person left it out."""


class DocumentRecord(Record):
    """A document of a collection: what it is and what came out of it."""

    label: ClassVar[str] = "document"
    remedy: ClassVar[str] = _REMEDY

    name: str
    """Its path in the collection."""
    kind: str
    """Its suffix, e.g. `.pdf`."""
    sha256: str
    """Of the file."""
    bytes: int
    reader: int = 0
    """The version of the readers that read it."""
    title: str = ""
    pages: int = 1
    has_pages: bool = False
    """Whether it has pages, slides or chapters that people know by number."""
    scans: tuple[int, ...] = ()
    """Pages that are pictures."""
    unread: tuple[int, ...] = ()
    """Those of them whose text could not be recognized."""
    ocr_score: float | None = None
    """The mean over the pages that were recognized."""
    tables: int = 0
    characters: int = 0
    passages: int = 0
    language: str = ""
    """Two letters; empty where the text is too short to tell."""
    excluded: tuple[int, ...] = ()
    """Pages that a person left out."""
    dropped: tuple[Dropped, ...] = ()
    remarks: tuple[str, ...] = ()
    """What a person should know of how it was read."""


class Skipped(Record):
    """A file that was given and not taken, and why."""

    name: str
    reason: str

    @classmethod
    def of(cls, name: str, error: StudioError) -> Self:
        """A file that met an error: what it was, and what to do."""
        return cls(name=name, reason=f"{error.message}. {error.hint}" if error.hint else error.message)


class CollectionRecord(Record):
    """`collection.json`: what documents that belong together are called, e.g. a handbook."""

    label: ClassVar[str] = "document collection"
    remedy: ClassVar[str] = _REMEDY

    title: str
    created: float
    skipped: tuple[Skipped, ...] = ()
    """Files that were given last and not taken."""
    running: tuple[str, ...] = ()
    """What most documents have at the ends of their pages: it is left out of those too short to show that by themselves."""
