"""Readers: one file per kind of document. To add one: write its file, then add its suffixes here. The list is the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from studio.documents.readers import book, pdf, slides, text, web, word
from studio.documents.reading import Reading
from studio.tracking.reporter import Reporter

ReadDocument: TypeAlias = Callable[[Path, str, Reporter], Reading]


@dataclass(frozen=True)
class Reader:
    """How one kind of document is read: from a file, called `name` in messages. packages: what it needs of the extra;
    isolated: in a process of its own with a limit of memory, as native code reads it that a hostile file may crash."""

    read: ReadDocument
    packages: tuple[str, ...] = ()
    isolated: bool = False


READERS: dict[str, Reader] = {
    ".pdf": Reader(pdf.read, ("pypdfium2",), isolated=True),
    ".docx": Reader(word.read),
    ".pptx": Reader(slides.read),
    ".html": Reader(web.read, ("trafilatura",)),
    ".htm": Reader(web.read, ("trafilatura",)),
    ".md": Reader(text.markdown),
    ".epub": Reader(book.read),
    ".txt": Reader(text.plain),
}

ELSEWHERE: dict[str, str] = {
    ".docm": "It may contain macros. Save it as .docx.",
    ".pptm": "It may contain macros. Save it as .pptx.",
    ".doc": "Save it as .docx.",
    ".ppt": "Save it as .pptx.",
    ".odt": "Save it as .docx.",
    ".odp": "Save it as .pptx.",
    ".rtf": "Save it as .docx.",
    ".xlsx": "A table is a dataset: studio data add.",
    ".csv": "A table is a dataset: studio data add.",
    ".jsonl": "Rows are a dataset: studio data add.",
    ".png": "Make a PDF of the pictures.",
    ".jpg": "Make a PDF of the pictures.",
    ".7z": "Unpack it, or pack it as .zip.",
    ".tar": "Unpack it, or pack it as .zip.",
    ".tgz": "Unpack it, or pack it as .zip.",
}
"""Kinds that are not read, and what to do about them."""


def is_read(name: str) -> bool:
    """Whether a file by its ending is a document that can be read."""
    return Path(name).suffix.lower() in READERS
