"""Text and Markdown: cut into passages of whole paragraphs, so that a handbook becomes rows a model can take.

A passage is as many neighbouring paragraphs as fit in `PASSAGE` characters; in Markdown a heading begins a new one,
unless the present one is still short, and code blocks stay whole. A longer paragraph is cut between lines, sentences or
words, in this order. Nothing is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from studio.data.readers.encoding import text_lines
from studio.data.readers.facts import Facts
from studio.data.rows import Rejected, Row

PASSAGE = 1_200
"""Characters a passage has at most: about 300 tokens of English, so that any small model takes it."""

SHORT = 300
"""Characters below which a passage takes in the next section too: a lone heading teaches nothing."""

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
    passage, began = "", 0
    for line, paragraph, opens in _paragraphs(stream, headings):
        if passage and ((opens and len(passage) >= SHORT) or len(passage) + 2 + len(paragraph) > PASSAGE):
            yield Row({"text": passage}, facts.name, began)
            passage = ""
        if not passage:
            began = line
        for piece, offset in _pieces(paragraph):
            if passage and len(passage) + 2 + len(piece) > PASSAGE:
                yield Row({"text": passage}, facts.name, began)
                passage = ""
            if not passage:
                began = line + offset
            passage = f"{passage}\n\n{piece}" if passage else piece
    if passage:
        yield Row({"text": passage}, facts.name, began)


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


def _pieces(paragraph: str) -> Iterator[tuple[str, int]]:
    """A paragraph in pieces of at most PASSAGE characters, each with how many lines below its beginning it begins."""
    done = 0
    while len(paragraph) - done > PASSAGE:
        window = paragraph[done : done + PASSAGE + 1]
        cuts = ([match for match in pattern.finditer(window) if match.start() > PASSAGE // 4] for pattern in _CUTS)
        cut = next((found[-1] for found in cuts if found), None)
        end, following = (cut.start(), cut.end()) if cut else (PASSAGE, PASSAGE)
        yield window[:end], paragraph.count("\n", 0, done)
        done += following
    if paragraph[done:].strip():
        yield paragraph[done:], paragraph.count("\n", 0, done)
