"""Markdown and plain text as blocks."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from studio.core.errors import DataError
from studio.core.text import size
from studio.data.readers import encoding
from studio.documents.reading import Block, Kind, Reading, ReadPage
from studio.tracking.reporter import Reporter

LARGEST = 64 << 20
"""Bytes of a text."""
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
_UNDERLINE = re.compile(r"(=+|-+)\s*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_ITEM = re.compile(r"\s*(?:[-*+•–]|\d{1,3}[.)])\s+")


def markdown(path: Path, name: str, reporter: Reporter) -> Reading:
    """A Markdown file. Front matter is not part of its text."""
    content, remark = decoded(path, name)
    return one_page(markdown_blocks(_without_front_matter(content)), remark)


def plain(path: Path, name: str, reporter: Reporter) -> Reading:
    """A text file: paragraphs between empty lines, pages between form feeds."""
    content, remark = decoded(path, name)
    pages = content.split("\f") if content.strip("\f \n").count("\f") else [content.replace("\f", "")]
    return Reading(
        has_pages=len(pages) > 1,
        pages=tuple(ReadPage(number=number, blocks=tuple(_plain_blocks(page))) for number, page in enumerate(pages, 1)),
        remarks=remark,
    )


def decoded(path: Path, name: str) -> tuple[str, tuple[str, ...]]:
    """A file's text, and a remark where its encoding is a guess. Raises DataError for bytes that are no text."""
    if path.stat().st_size > LARGEST:
        raise DataError(f"it is larger than {size(LARGEST)}", hint="Split it.", where=name)

    @contextlib.contextmanager
    def opened() -> Iterator[BinaryIO]:
        with open(path, "rb") as stream:
            yield stream

    try:
        codec, remark = encoding.detect(opened, name)
    except DataError as problem:
        hint = "Give the file its right ending, or save it as .txt in the program that made it."
        raise DataError(problem.message, hint=hint, where=name) from None
    text = path.read_bytes().decode(codec, "replace").replace("\r\n", "\n").replace("\r", "\n")
    return text.removeprefix("\ufeff"), (remark,) if remark else ()


def one_page(blocks: Iterable[Block], remarks: tuple[str, ...] = (), title: str = "") -> Reading:
    """The reading of a document without pages; its title is its first heading where no other is known."""
    all_blocks = tuple(blocks)
    title = title or next((block.text for block in all_blocks if block.kind == "heading"), "")
    return Reading(title=title, pages=(ReadPage(number=1, blocks=all_blocks),), remarks=remarks)


def markdown_blocks(content: str) -> Iterator[Block]:
    """The blocks of a Markdown text."""
    lines: list[str] = []
    fence = ""
    for line in [*content.splitlines(), ""]:
        mark = _FENCE.match(line)
        if mark and not fence and lines:
            yield _block(lines)
            lines = []
        if mark and (not fence or mark[1] == fence):
            fence = "" if fence else mark[1]
            lines.append(line)
            if not fence:
                yield Block(kind="code", text="\n".join(lines))
                lines = []
        elif fence:
            lines.append(line)
        elif heading := _HEADING.match(line):
            if lines:
                yield _block(lines)
            lines = []
            if heading[2]:
                yield Block(kind="heading", text=_bare(heading[2]), level=len(heading[1]))
        elif len(lines) == 1 and _UNDERLINE.match(line) and "|" not in lines[0] and not _ITEM.match(lines[0]):
            yield Block(kind="heading", text=_bare(lines[0]), level=1 if line[0] == "=" else 2)
            lines = []
        elif not line.strip():
            if lines:
                yield _block(lines)
            lines = []
        else:
            lines.append(line.rstrip())
    if lines:  # a fence that is never closed
        yield Block(kind="code", text="\n".join(lines))


def is_item(line: str) -> bool:
    """Whether a line begins an item of a list."""
    return _ITEM.match(line) is not None


def table(rows: list[list[str]]) -> str:
    """Cells as a Markdown table, its first row as the head; empty if there are none."""
    rows = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        return ""
    width = max(map(len, rows))
    lines = ["| " + " | ".join([*row, *[""] * (width - len(row))]) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def _block(lines: list[str]) -> Block:
    kind: Kind = "paragraph"
    if all(line.lstrip().startswith("|") for line in lines):
        kind = "table"
    elif is_item(lines[0]):
        kind = "list"
    return Block(kind=kind, text="\n".join(lines).strip())


def _plain_blocks(content: str) -> Iterator[Block]:
    for paragraph in re.split(r"\n\s*\n", content):
        lines = [line.rstrip() for line in paragraph.strip("\n").splitlines() if line.strip()]
        if len(lines) == 2 and _UNDERLINE.fullmatch(lines[1]):
            yield Block(kind="heading", text=lines[0].strip(), level=1 if lines[1][0] == "=" else 2)
        elif lines:
            yield Block(kind="list" if is_item(lines[0]) else "paragraph", text="\n".join(lines).strip())


def _without_front_matter(content: str) -> str:
    matched = re.match(r"---\n.*?\n---\n", content, re.DOTALL)
    return content[matched.end() :] if matched else content


def _bare(heading: str) -> str:
    """A heading without emphasis and links."""
    return re.sub(r"[*_`]{1,3}([^*_`]+)[*_`]{1,3}", r"\1", re.sub(r"\[([^]]*)]\([^)]*\)", r"\1", heading)).strip()
