"""What the documents of a collection repeat: letterhead and foot of a folder of one-page PDFs, which no page alone shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from studio.documents.readers.repeated import FEW, SHARE, reason_for
from studio.documents.reading import Block, Reading
from studio.documents.records import Dropped

EDGE = 2
"""Blocks at either end of a page that may be running ones."""
LONGEST = 200
"""Characters of a running head or foot."""
_PAGE = re.compile(r"(?:page|seite|página|pagina|стр\.?|p\.)\s*\d{1,4}(?:\s*(?:of|/|von|de|di)\s*\d{1,4})?")


def is_short(reading: Reading) -> bool:
    """Whether a document has too few pages to show by itself what it repeats on each."""
    return reading.has_pages and len(reading.pages) < FEW


def edges(reading: Reading) -> set[str]:
    """What stands at the ends of the pages of a short document, as it may stand in others: page numbers are alike."""
    return {_key(page.blocks[index].text) for page in reading.pages for index in _ends(page.blocks)}


def repeated(readings: Iterable[Reading]) -> tuple[str, ...]:
    """What most of several documents have at the ends of their pages; in longer ones it was dropped already."""
    seen: Counter[str] = Counter()
    total = 0
    for reading in readings:
        total += 1
        dropped = {_key(item.text) for item in reading.dropped if item.text}
        seen.update(dropped | (edges(reading) if is_short(reading) else set()))
    return tuple(sorted(key for key, documents in seen.items() if documents >= max(FEW, SHARE * total)))


def without(reading: Reading, running: Collection[str]) -> Reading:
    """A short document without them, each listed as dropped; as it is where no text would be left."""
    if not is_short(reading) or not edges(reading) & set(running):
        return reading
    pages, dropped = [], []
    for page in reading.pages:
        gone = {index for index in _ends(page.blocks) if _key(page.blocks[index].text) in running}
        for index in sorted(gone):
            text = page.blocks[index].text
            otherwise = "running head" if index < len(page.blocks) - EDGE else "running foot"
            dropped.append(Dropped(reason=reason_for(text, otherwise), pages=(page.number,), text=text))
        kept = tuple(block for index, block in enumerate(page.blocks) if index not in gone)
        pages.append(page.model_copy(update={"blocks": kept}))
    if not any(page.blocks for page in pages):
        return reading
    return reading.model_copy(update={"pages": tuple(pages), "dropped": (*reading.dropped, *dropped)})


def _ends(blocks: tuple[Block, ...]) -> Iterator[int]:
    """The outermost blocks of a page that may be running ones: headings, tables and code are text of the document."""
    for index, block in enumerate(blocks):
        outermost = index < EDGE or index >= len(blocks) - EDGE
        if outermost and block.kind in ("paragraph", "list") and len(block.text) <= LONGEST:
            yield index


def _key(text: str) -> str:
    return _PAGE.sub("#", " ".join(text.lower().split()))
