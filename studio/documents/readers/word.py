"""Word documents: headings by style, lists, tables, footnotes; pages as Word broke them when it was saved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from studio.core.text import plural
from studio.documents.readers import text
from studio.documents.readers.office import Parts
from studio.documents.reading import Block, Reading, ReadPage
from studio.documents.records import Dropped
from studio.tracking.reporter import Reporter

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_BODY = "word/document.xml"
_LEAVE_OUT = frozenset((f"{_W}del", f"{_W}moveFrom", f"{_W}instrText", f"{_W}pict", f"{_W}rPr", f"{_W}pPr", f"{_W}txbxContent"))


def read(path: Path, name: str, reporter: Reporter) -> Reading:
    """A Word document."""
    with Parts(path, name, "a Word document") as parts:
        tree = parts.xml(_BODY)
        levels = _heading_levels(parts.xml("word/styles.xml")) if "word/styles.xml" in parts.names else {}
        outside = sum(parts.relations(part)[1] for part in (_BODY, "word/settings.xml"))
        around = [_dropped(parts, part) for part in sorted(parts.names) if part.startswith(("word/header", "word/footer"))]
        notes = [
            " ".join(_text(note).split())
            for kind in ("footnote", "endnote")
            if f"word/{kind}s.xml" in parts.names
            for note in parts.xml(f"word/{kind}s.xml").iter(f"{_W}{kind}")
        ]
    body = tree.find(f"{_W}body")
    pages: list[list[Block]] = [[]]
    for item in _items(body if body is not None else (), levels):
        if item is None:
            pages.append([])
        else:
            pages[-1].append(item)
    pages[-1] += [Block(kind="paragraph", text=note) for note in notes if note]
    remarks = (f"It refers to {plural(outside, 'external file')}; nothing was fetched.",) if outside else ()
    return Reading(
        title=next((block.text for page in pages for block in page if block.kind == "heading"), ""),
        has_pages=len(pages) > 1,
        pages=tuple(ReadPage(number=number, blocks=_joined_lists(page)) for number, page in enumerate(pages, 1)),
        dropped=tuple(item for item in around if item.text),
        remarks=remarks,
    )


def _heading_levels(styles: Element) -> dict[str, int]:
    """The level of each paragraph style that is a heading, also of those that are based on one."""
    own: dict[str, int] = {}
    based: dict[str, str] = {}
    for style in styles.iter(f"{_W}style"):
        key = style.get(f"{_W}styleId", "")
        level = style.find(f"{_W}pPr/{_W}outlineLvl")
        name = style.find(f"{_W}name")
        named = "" if name is None else name.get(f"{_W}val", "").lower()
        if level is not None and level.get(f"{_W}val", "9").isdigit() and int(level.get(f"{_W}val", "9")) < 9:
            own[key] = int(level.get(f"{_W}val", "0")) + 1
        elif named == "title":
            own[key] = 1
        elif named.startswith("heading ") and named[8:].isdigit():
            own[key] = int(named[8:])
        parent = style.find(f"{_W}basedOn")
        if parent is not None:
            based[key] = parent.get(f"{_W}val", "")
    for key in based:
        ancestor, steps = key, 0
        while ancestor not in own and ancestor in based and steps < 20:
            ancestor, steps = based[ancestor], steps + 1
        if ancestor in own:
            own.setdefault(key, own[ancestor])
    return own


def _items(body: Element | tuple[()], levels: dict[str, int]) -> Iterator[Block | None]:
    """The blocks, and None where a page ends."""
    for item in body:
        if item.tag == f"{_W}tbl":
            if content := text.table(_cells(item)):
                yield Block(kind="table", text=content)
        elif item.tag == f"{_W}p":
            content = _text(item).strip()
            breaks, before = _breaks(item)
            if breaks and before:
                yield None
            if content:
                yield _paragraph(item, content, levels)
            if breaks and not before:
                yield None
        elif item.tag in (f"{_W}sdt", f"{_W}ins", f"{_W}sdtContent", f"{_W}customXml"):
            yield from _items(item, levels)


def _paragraph(item: Element, content: str, levels: dict[str, int]) -> Block:
    style, outline = item.find(f"{_W}pPr/{_W}pStyle"), item.find(f"{_W}pPr/{_W}outlineLvl")
    key = "" if style is None else style.get(f"{_W}val", "")
    level = levels.get(key, 0)
    if outline is not None and outline.get(f"{_W}val", "9").isdigit() and int(outline.get(f"{_W}val", "9")) < 9:
        level = int(outline.get(f"{_W}val", "0")) + 1
    if level:
        return Block(kind="heading", text=" ".join(content.split()), level=level)
    if item.find(f"{_W}pPr/{_W}numPr") is not None or key.lower().startswith("list"):
        return Block(kind="list", text=f"- {' '.join(content.split())}")
    return Block(kind="paragraph", text=content)


def _breaks(item: Element) -> tuple[bool, bool]:
    """Whether a page ends in a paragraph, by a break that a person set or that Word noted when it was last saved, and
    whether it ends before the paragraph's text. Several breaks in one paragraph often stand for the same, and count as one."""
    seen_text = False
    if item.find(f"{_W}pPr/{_W}pageBreakBefore") is not None:
        return True, True
    for inner in item.iter():
        seen_text |= inner.tag == f"{_W}t" and bool(inner.text)
        if inner.tag == f"{_W}lastRenderedPageBreak" or (inner.tag == f"{_W}br" and inner.get(f"{_W}type") == "page"):
            return True, not seen_text
    return False, False


def _text(item: Element) -> str:
    parts: list[str] = []
    for inner in item:
        if inner.tag in _LEAVE_OUT:
            continue
        if inner.tag in (f"{_W}t", _MATH):
            parts.append(inner.text or "")
        elif inner.tag in (f"{_W}br", f"{_W}cr"):
            parts.append("\n")
        elif inner.tag == f"{_W}tab":
            parts.append("\t")
        elif inner.tag == f"{_W}noBreakHyphen":
            parts.append("-")
        else:
            parts.append(_text(inner))
    return "".join(parts)


def _cells(table: Element) -> list[list[str]]:
    return [
        [" ".join(_text(part) for part in cell.iter(f"{_W}p")) for cell in row.findall(f"{_W}tc")]
        for row in table.findall(f"{_W}tr")
    ]


def _dropped(parts: Parts, part: str) -> Dropped:
    head = part.startswith("word/header")
    content = " ".join(" ".join(_text(item) for item in parts.xml(part).iter(f"{_W}p")).split())
    return Dropped(reason="running head" if head else "running foot", text=content)


def _joined_lists(blocks: list[Block]) -> tuple[Block, ...]:
    """The blocks, with neighbouring items of a list as one."""
    joined: list[Block] = []
    for block in blocks:
        if joined and block.kind == "list" == joined[-1].kind:
            joined[-1] = Block(kind="list", text=f"{joined[-1].text}\n{block.text}")
        else:
            joined.append(block)
    return tuple(joined)
