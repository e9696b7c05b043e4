"""What a document repeats on its pages: running heads, running feet, page numbers and contents are no part of its text."""

from __future__ import annotations

import re
from collections import defaultdict

from studio.documents.readers.pdf_page import Line
from studio.documents.records import Dropped

_LEADERS = re.compile(r"(?:\.\s?){4,}\s*(?:\d{1,4}|[ivxlc]{1,6})\s*$")
"""The dots from a title to its page."""
_ENDS = re.compile(r"^\d{1,4}\b(?!\.\d)|(?<![\d.])\d{1,4}$")
"""A number a line begins or ends with."""
SHARE = 0.6
"""Share of the pages on which a line stands at the same end to be a running one."""
FEW = 3
"""Pages below which nothing is called repeated, but what stands at the same height on both pages of two."""
_TEXT = 3
"""Lines that either of two pages must have beside it."""
_EDGE = 2
"""Lines at either end of a page that may be running ones."""
_NUMBER = re.compile(
    r"(?:page|seite|página|pagina|стр\.?|p\.)?\s*[-–—]?\s*(?:\d{1,4}|[ivxlc]{1,6})(?:\s*(?:of|/|von|de|di)\s*\d{1,4})?\s*[-–—]?",
    re.IGNORECASE,
)


def drop_repeated(pages: list[list[Line]], body: float, exact: bool = False) -> tuple[list[list[Line]], list[Dropped]]:
    """The lines of pages without running heads and feet, page numbers and contents; and those, each once with its pages.

    body: the font size of most of the text; in larger letters only a line that is the same to the letter is a running one.
    exact: that holds for letters of any size. It is tried again so where most pages would have no text left: labels and forms,
    one a page, differ in their numbers alone.
    """
    size = 0.0 if exact else body
    seen: dict[tuple[bool, str], list[tuple[int, int]]] = defaultdict(list)
    for page, lines in enumerate(pages):
        order = sorted(range(len(lines)), key=lambda index: -lines[index].top)
        for index in order[:_EDGE]:
            seen[True, _key(lines[index], size)].append((page, index))
        for index in order[max(len(order) - _EDGE, _EDGE) :]:
            seen[False, _key(lines[index], size)].append((page, index))
    written = sum(bool(lines) for lines in pages)
    gone: set[tuple[int, int]] = set()
    dropped: list[Dropped] = []
    for (head, key), places in seen.items():
        on = sorted({page for page, _ in places})
        if written < FEW and not _on_both(pages, places, body):
            continue
        if len(on) < SHARE * written and not _alternates(on, written):
            continue
        gone.update(places)
        first = pages[places[0][0]][places[0][1]].text
        reason = reason_for(first, "running head" if head else "running foot")
        dropped.append(Dropped(reason=reason, pages=tuple(page + 1 for page in on), text=first if key else ""))
    changing: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for page, index in () if exact else sorted(_numbered(pages, written) - gone):
        changing[re.sub(r"\d+", "#", pages[page][index].text)].append((page, index))
    for places in changing.values():
        gone.update(places)
        first = pages[places[0][0]][places[0][1]].text
        on = tuple(page + 1 for page, _ in places)
        dropped.append(Dropped(reason=reason_for(first, "running head"), pages=on, text=first))
    kept = [[line for index, line in enumerate(lines) if (page, index) not in gone] for page, lines in enumerate(pages)]
    if not exact and sum(not lines for lines in kept) - sum(not lines for lines in pages) > written / 2:
        return drop_repeated(pages, body, exact=True)
    contents = [(page, line.text) for page, lines in enumerate(kept, 1) for line in lines if _LEADERS.search(line.text)]
    if contents:
        on = tuple(sorted({page for page, _ in contents}))
        dropped.append(Dropped(reason="table of contents", pages=on, text="\n".join(text for _, text in contents)[:2_000]))
    return [[line for line in lines if not _LEADERS.search(line.text)] for lines in kept], dropped


def _on_both(pages: list[list[Line]], positions: list[tuple[int, int]], body: float) -> bool:
    """Whether a line is the outermost one of both pages, at the same height, in letters no larger than the text's, and the
    same to the letter or a page number."""
    lines = [pages[page][index] for page, index in positions]
    if len({page for page, _ in positions}) != 2 or len(lines) != 2 or max(line.size for line in lines) > body:
        return False
    outermost = all(
        line.top in (max(other.top for other in pages[page]), min(other.top for other in pages[page]))
        for line, (page, _) in zip(lines, positions, strict=True)
    )
    same = lines[0].text == lines[1].text or all(_NUMBER.fullmatch(line.text) for line in lines)
    enough = all(len(pages[page]) > _TEXT for page, _ in positions)
    return outermost and same and enough and abs(lines[0].top - lines[1].top) < 2


def _numbered(pages: list[list[Line]], written: int) -> set[tuple[int, int]]:
    """The lines at either end that carry the page's number, as running heads with a chapter's title do: (page, line)."""
    found: dict[tuple[bool, int], set[tuple[int, int]]] = defaultdict(set)
    for page, lines in enumerate(pages):
        order = sorted(range(len(lines)), key=lambda index: -lines[index].top)
        for head, index in ((True, order[0]), (False, order[-1])) if len(order) > 1 else ():
            for number in _ENDS.findall(lines[index].text):
                found[head, int(number) - page].add((page, index))
    return {place for places in found.values() if len(places) >= max(FEW, 0.4 * written) for place in places}


def reason_for(text: str, otherwise: str) -> str:
    """Why a repeated line is dropped: it is a page number, or otherwise as said."""
    return "page number" if _NUMBER.fullmatch(text) else otherwise


def _alternates(pages: list[int], written: int) -> bool:
    """Whether a line stands on most left or on most right pages, as in books."""
    return written >= 2 * FEW and len({page % 2 for page in pages}) == 1 and len(pages) >= 2 * SHARE * (written // 2) / 1.2


def _key(line: Line, body: float) -> str:
    """A line with its numbers as one mark: `Page 3 of 12` is the same on every page."""
    key = " ".join(line.text.lower().split())
    return key if line.size >= 1.12 * body else re.sub(r"\d+", "#", key)
