"""Reference lists: titles and names in them match any question and answer none, so they are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from studio.documents.reading import Block, ReadPage
from studio.documents.records import Dropped

_HEADING = re.compile(
    r"(?:\d+\.?\s+)?(?:references(?: cited)?|bibliography|works cited|literature(?: cited)?|literaturverzeichnis|literatur|"
    r"quellen(?:verzeichnis)?|bibliographie|références(?: bibliographiques)?|referencias|bibliografía|riferimenti|"
    r"bibliografia|referências|参考文献)",
    re.IGNORECASE,
)
_ENTRY = re.compile(r"\(?(?:19|20)\d\d[a-z]?\)?|\bet al\b|https?://|\bdoi\b|\bISBN\b|\bpp?\. ?\d|\[\d+\]", re.IGNORECASE)
_LIKE_ENTRIES = 0.5
"""Share of blocks below the heading that look like entries: a company's `References` may be its customers."""


def without_references(pages: tuple[ReadPage, ...]) -> tuple[tuple[ReadPage, ...], tuple[Dropped, ...]]:
    """The pages without reference lists, and those lists: from such a heading to the next one of its level."""
    blocks = [(page, block) for page in pages for block in page.blocks]
    gone: set[int] = set()
    dropped: list[Dropped] = []
    for first, last in _lists([block for _, block in blocks]):
        entries = [block for _, block in blocks[first + 1 : last]]
        if not entries or sum(bool(_ENTRY.search(block.text)) for block in entries) < _LIKE_ENTRIES * len(entries):
            continue
        gone.update(range(first, last))
        on = tuple(sorted({page.number for page, _ in blocks[first:last]}))
        content = "\n".join(block.text for _, block in blocks[first:last])
        dropped.append(Dropped(reason="references", pages=on, text=content[:2_000]))
    if not gone:
        return pages, ()
    left = iter(index not in gone for index in range(len(blocks)))
    kept = tuple(page.model_copy(update={"blocks": tuple(block for block in page.blocks if next(left))}) for page in pages)
    return kept, tuple(dropped)


def _lists(blocks: list[Block]) -> Iterator[tuple[int, int]]:
    """Where reference lists begin and end, heading included."""
    for first, block in enumerate(blocks):
        if block.kind == "heading" and _HEADING.fullmatch(block.text.strip().rstrip(":")):
            ends = (
                index
                for index, later in enumerate(blocks[first + 1 :], first + 1)
                if later.kind == "heading" and later.level <= block.level
            )
            yield first, next(ends, len(blocks))
