"""Passages: a document's blocks cut at headings, then at blocks, sentences and words; nothing lost, nothing twice.

A passage is as many neighbouring blocks under one heading as fit in `LARGEST` characters. It goes on over the end of a page
only inside a sentence, so that its page is right; a heading with nothing below it joins what comes after it, on whose page
the passage is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from studio.documents.reading import Block, Reading
from studio.documents.records import Dropped, Page, Passage
from studio.documents.references import without_references

LARGEST = 1_200
"""Characters a passage has at most: about 300 tokens of English, which any embedder and small model takes."""
SMALLEST = 100
"""Characters below which a last block joins the passage before it, which may then be so much longer."""
_SENTENCE = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|(?<=[。！？])")
_ENDS = re.compile(r"[.!?:;…。！？][\"'”’)\]]*$")
_CUTS = (re.compile(r"\n"), _SENTENCE, re.compile(r"\s+"))


@dataclass(frozen=True)
class Cut:
    """A document's text in pages and passages."""

    pages: list[Page]
    passages: list[Passage]
    dropped: tuple[Dropped, ...]

    @property
    def text(self) -> str:
        """The document's text, to which the offsets of passages belong."""
        return "".join(page.text for page in self.pages)


@dataclass(frozen=True)
class _Piece:
    """A stretch of the document's text under one heading path."""

    path: tuple[str, ...]
    page: int
    start: int
    text: str
    heading: bool


def cut(name: str, reading: Reading, excluded: Sequence[int] = ()) -> Cut:
    """The passages of a document called `name`, without those of `excluded` pages."""
    pages, references = without_references(reading.pages)
    excluded_text = tuple(
        Dropped(reason="excluded", pages=(page.number,), text="\n".join(block.text for block in page.blocks)[:2_000])
        for page in pages
        if page.number in excluded and page.blocks
    )
    written: list[Page] = []
    pieces: list[_Piece] = []
    path: list[tuple[int, str]] = []
    end = 0
    for page in pages:
        start = end
        parts: list[str] = []
        for block in page.blocks:
            if block.kind == "heading":
                path = [*(item for item in path if item[0] < block.level), (block.level, block.text)]
            if page.number in excluded:
                continue
            pieces += _pieces(block, tuple(text for _, text in path), page.number, end)
            parts.append(f"{block.text}\n\n")
            end += len(parts[-1])
        written.append(
            Page(
                number=page.number,
                text="".join(parts),
                start=start,
                scan=page.scan,
                ocr_score=page.ocr_score,
                tables=sum(block.kind == "table" for block in page.blocks),
                excluded=page.number in excluded,
            )
        )
    text = "".join(page.text for page in written)
    passages = list(_passages(name, pieces, text, reading.has_pages))
    return Cut(written, passages, (*reading.dropped, *references, *excluded_text))


def _pieces(block: Block, path: tuple[str, ...], page: int, start: int) -> Iterator[_Piece]:
    """A block in pieces of at most LARGEST characters, each exactly as it stands in the document's text."""
    text, done = block.text, 0
    while len(text) - done > LARGEST:
        window = text[done : done + LARGEST]
        cuts = ([match for match in pattern.finditer(window) if match.start() > LARGEST // 4] for pattern in _CUTS)
        last = next((found[-1] for found in cuts if found), None)
        stop, following = (last.start(), last.end()) if last else (LARGEST, LARGEST)
        yield _Piece(path, page, start + done, window[:stop], block.kind == "heading")
        done += following
    if text[done:].strip():
        yield _Piece(path, page, start + done, text[done:], block.kind == "heading")


def _passages(name: str, pieces: list[_Piece], text: str, has_pages: bool) -> Iterator[Passage]:
    repeats = Counter[tuple[tuple[str, ...], str]]()
    for first, last in _runs(pieces):
        content = text[first.start : last.start + len(last.text)]
        key = (first.path, content)
        yield Passage.of(name, first.page if has_pages else None, first.path, first.start, content, repeats[key])
        repeats[key] += 1


def _runs(pieces: list[_Piece]) -> list[tuple[_Piece, _Piece]]:
    """The first and last piece of each passage."""
    runs: list[tuple[_Piece, _Piece]] = []
    for piece in pieces:
        if runs:
            first, last = runs[-1]
            allowed = LARGEST + (SMALLEST if len(piece.text) < SMALLEST else 0)
            fits = piece.start + len(piece.text) - first.start <= allowed
            new_page = piece.page != last.page and bool(_ENDS.search(last.text.rstrip()))
            if fits and first.heading and last.heading:  # nothing but headings so far
                runs[-1] = (replace(first, path=piece.path, page=piece.page), piece)
                continue
            if fits and first.path == piece.path and not new_page:
                runs[-1] = (first, piece)
                continue
        runs.append((piece, piece))
    return runs
