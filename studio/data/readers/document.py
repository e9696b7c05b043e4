"""Text and Markdown: cut into passages of whole paragraphs, so that a handbook becomes rows a model can take.

A passage is as many neighbouring paragraphs as fit in `PASSAGE` characters; in Markdown a heading begins a new one,
unless the present one is still short, and code blocks stay whole. A longer paragraph is cut between lines, sentences or
words, in this order. Nothing is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from studio.data.readers.encoding import text_lines
from studio.data.readers.facts import Facts
from studio.data.rows import Rejected, Row

PASSAGE = 1_200
"""Characters a passage has at most: about 300 tokens of English, so that any small model takes it."""

SHORT = 300
"""Characters below which a passage takes in the next section too: a lone heading teaches nothing."""

PARAGRAPH = "\n\n"
"""What stands between two paragraphs."""
_HEADING = re.compile(r"#{1,6}\s")
_FENCE = re.compile(r"\s*(```|~~~)")
_CUTS = (re.compile(r"\n"), re.compile(r"(?<=[.!?…。！？])\s+"), re.compile(r"\s+"))


def plain(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """Passages of a text file; a form feed (page break) also ends one."""
    return _passages(stream, facts, headings=False)


def markdown(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """Passages of a Markdown file; headings begin them."""
    return _passages(stream, facts, headings=True)


def pairs(stream: BinaryIO, facts: Facts, mark: str) -> Iterator[Row | Rejected]:
    """Two texts a line, parted by a mark: columns `left` and `right`."""
    for number, raw in enumerate(text_lines(stream), 1):
        left, parted, right = raw.strip().partition(mark)
        if parted:
            yield Row({"left": left.strip(), "right": right.strip()}, facts.name, number)
        elif raw.strip():
            yield Rejected(facts.name, number, f"no `{mark.strip()}` in the line", "", raw[:200])


def _passages(stream: BinaryIO, facts: Facts, headings: bool) -> Iterator[Row]:
    """Every passage as a row that knows its number and what stands between it and the next one."""
    waiting: Row | None = None
    for number, (text, line, glue) in enumerate(_cut(stream, headings), 1):
        if waiting is not None:
            yield waiting
        waiting = Row({"text": text}, facts.name, line, number, glue)
    if waiting is not None:
        yield replace(waiting, glue=None)


def _cut(stream: BinaryIO, headings: bool) -> Iterator[tuple[str, int, str]]:
    """Each passage, the line it begins at, and what stood between it and what follows."""
    passage, began, glue = "", 0, PARAGRAPH
    for line, paragraph, opens in _paragraphs(stream, headings):
        if passage and ((opens and len(passage) >= SHORT) or len(passage) + 2 + len(paragraph) > PASSAGE):
            yield passage, began, glue
            passage = ""
        if not passage:
            began = line
        for piece, offset, after in _pieces(paragraph):
            if passage and len(passage) + len(PARAGRAPH) + len(piece) > PASSAGE:
                yield passage, began, glue
                passage = ""
            if not passage:
                began = line + offset
            passage, glue = f"{passage}{PARAGRAPH}{piece}" if passage else piece, after
    if passage:
        yield passage, began, glue


def _paragraphs(stream: BinaryIO, headings: bool) -> Iterator[tuple[int, str, bool]]:
    """Line, text and whether it must begin a passage, of each run of lines between blank ones."""
    lines: list[str] = []
    began, opens, fence, length = 0, False, "", 0
    for number, raw in enumerate(text_lines(stream), 1):
        line, breaks = raw.rstrip("\n"), "\f" in raw
        if headings and (mark := _FENCE.match(line)):
            fence = "" if fence == mark[1] else fence or mark[1]
        heading = headings and not fence and _HEADING.match(line) is not None
        if lines and ((not line.strip() and not fence) or heading or breaks or length > 64 * PASSAGE):
            yield began, "\n".join(lines), opens
            lines, opens, length = [], False, 0
        opens = opens or heading or breaks
        line = line.replace("\f", "")
        if line.strip() or lines:
            began = began if lines else number
            lines.append(line.rstrip())
            length += len(line) + 1
    if lines:
        yield began, "\n".join(lines).rstrip(), opens


def _pieces(paragraph: str) -> Iterator[tuple[str, int, str]]:
    """A paragraph in pieces of at most PASSAGE characters, each with how many lines below its beginning it begins, and what
    followed it."""
    done = 0
    while len(paragraph) - done > PASSAGE:
        window = paragraph[done : done + PASSAGE + 1]
        cuts = ([match for match in pattern.finditer(window) if match.start() > PASSAGE // 4] for pattern in _CUTS)
        cut = next((found[-1] for found in cuts if found), None)
        end, following = (cut.start(), cut.end()) if cut else (PASSAGE, PASSAGE)
        yield window[:end], paragraph.count("\n", 0, done), window[end:following]
        done += following
    if paragraph[done:].strip():
        yield paragraph[done:], paragraph.count("\n", 0, done), PARAGRAPH
