"""Presentations: a slide is a page, its title a heading; speaker notes belong to it."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from studio.core.text import plural
from studio.documents.readers import text
from studio.documents.readers.office import Parts
from studio.documents.reading import Block, Reading, ReadPage
from studio.documents.records import Dropped
from studio.tracking.reporter import Reporter

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_PRESENTATION = "ppt/presentation.xml"
_AROUND = {"dt": "date", "ftr": "running foot", "hdr": "running head", "sldNum": "page number"}


def read(path: Path, name: str, reporter: Reporter) -> Reading:
    """A presentation, in the order of its slides; hidden slides too."""
    pages: list[ReadPage] = []
    dropped: dict[tuple[str, str], list[int]] = {}
    outside = 0
    with Parts(path, name, "a presentation") as parts:
        relations, _ = parts.relations(_PRESENTATION)
        slides = [relations.get(item.get(f"{_R}id", ""), "") for item in parts.xml(_PRESENTATION).iter(f"{_P}sldId")]
        for number, slide in enumerate(slides, 1):
            reporter.progress(number - 1, len(slides), f"Reading {name}")
            named, elsewhere = parts.relations(slide)
            outside += elsewhere
            blocks, around = _blocks(parts.xml(slide))
            for reason, content in around:
                dropped.setdefault((reason, content if reason != "page number" else "slide number"), []).append(number)
            notes = next((part for part in named.values() if part.startswith("ppt/notesSlides/")), "")
            if notes in parts.names:
                said, _ = _blocks(parts.xml(notes))
                blocks += [block for block in said if block.kind != "heading"]
            pages.append(ReadPage(number=number, blocks=tuple(blocks)))
    return Reading(
        title=next((block.text for page in pages for block in page.blocks if block.kind == "heading"), ""),
        has_pages=True,
        pages=tuple(pages),
        dropped=tuple(
            Dropped(reason=reason, text=content, pages=tuple(on)) for (reason, content), on in sorted(dropped.items())
        ),
        remarks=(f"It refers to {plural(outside, 'external file')}; nothing was fetched.",) if outside else (),
    )


def _blocks(slide: Element) -> tuple[list[Block], list[tuple[str, str]]]:
    """The blocks of a slide, its title first, and what stands around it: (why it is left out, text)."""
    titles: list[Block] = []
    blocks: list[Block] = []
    around: list[tuple[str, str]] = []
    for shape in slide.iter():
        if shape.tag == f"{_A}tbl":
            cells = [[_text(cell) for cell in row.findall(f"{_A}tc")] for row in shape.findall(f"{_A}tr")]
            if content := text.table(cells):
                blocks.append(Block(kind="table", text=content))
        elif shape.tag == f"{_P}sp":
            lines = [line for paragraph in shape.iter(f"{_A}p") if (line := _text(paragraph).strip())]
            holder = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
            kind = "" if holder is None else holder.get("type", "")
            if not lines:
                continue
            if kind in _AROUND:
                around.append((_AROUND[kind], " ".join(lines)))
            elif kind in ("title", "ctrTitle"):
                titles.append(Block(kind="heading", text=" ".join(lines), level=1))
            elif len(lines) > 1:
                blocks.append(Block(kind="list", text="\n".join(f"- {line}" for line in lines)))
            else:
                blocks.append(Block(kind="paragraph", text=lines[0]))
    return [*titles, *blocks], around


def _text(item: Element) -> str:
    parts = []
    for inner in item.iter():
        if inner.tag == f"{_A}t":
            parts.append(inner.text or "")
        elif inner.tag == f"{_A}br" or (inner.tag == f"{_A}p" and parts):
            parts.append(" ")
    return "".join(parts)
