"""Readers: one file per kind of file. To add one: write its file, then add its suffixes here. The list is the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from studio.data.readers import columnar, document, faq, json_rows, sheet, table
from studio.data.readers.facts import Facts
from studio.data.rows import Rejected, Row

ReadRows: TypeAlias = Callable[[BinaryIO, Facts], Iterator[Row | Rejected]]


@dataclass(frozen=True)
class Reader:
    """How one kind of file is read. text: its bytes are text in some encoding; else they need a seekable file."""

    rows: ReadRows
    text: bool


READERS: dict[str, Reader] = {
    ".jsonl": Reader(json_rows.lines, text=True),
    ".ndjson": Reader(json_rows.lines, text=True),
    ".json": Reader(json_rows.document, text=True),
    ".csv": Reader(table.rows, text=True),
    ".tsv": Reader(table.rows, text=True),
    ".txt": Reader(document.plain, text=True),
    ".md": Reader(faq.markdown, text=True),
    ".html": Reader(faq.web_page, text=True),
    ".htm": Reader(faq.web_page, text=True),
    ".docx": Reader(faq.word, text=False),
    ".parquet": Reader(columnar.parquet, text=False),
    ".arrow": Reader(columnar.arrow, text=False),
    ".feather": Reader(columnar.arrow, text=False),
    ".orc": Reader(columnar.orc, text=False),
    ".xlsx": Reader(sheet.rows, text=False),
}
