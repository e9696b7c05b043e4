"""PDF: text in reading order with headings by outline and font, ruled tables, scans recognized where that is installed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import DataError, Stopped
from studio.core.text import plural, size
from studio.documents.readers import ocr, recognition, text
from studio.documents.readers.pdf_page import Line, PageContent, page_content
from studio.documents.readers.repeated import drop_repeated
from studio.documents.reading import Block, Reading, ReadPage
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    import pypdfium2 as pdfium

LARGEST = 512 << 20
"""Bytes of a PDF."""
MOST_PAGES = 5_000
SCANNED = 10.0
"""The font size, in points, that the text of scans is taken for where no page has another."""
PICTURE = 20
"""Characters below which a page with a picture on it is a scan."""
LONGEST = 4_000
"""Pixels of a scan's longer side when it is recognized: a page may say that it is a kilometre long."""
_ENDS = re.compile(r"[.!?:;…。！？][\"'”’)\]]*$")
_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){0,4})\.?\s+\S")


def read(path: Path, name: str, reporter: Reporter) -> Reading:
    """A PDF. Scripts in it are never run, links never followed, files attached to it never opened."""
    import pypdfium2

    if path.stat().st_size > LARGEST:
        raise DataError(f"it is larger than {size(LARGEST)}", hint="Split it.", where=name)
    try:
        document: Any = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as problem:
        raise _refusal(str(problem), name) from None
    try:
        if len(document) > MOST_PAGES:
            raise DataError(f"it has {len(document):,} pages, more than {MOST_PAGES:,}", hint="Split it.", where=name)
        return _reading(document, name, reporter)
    finally:
        document.close()


def _refusal(problem: str, name: str) -> DataError:
    if "password" in problem.lower():
        return DataError("it is protected by a password", hint="Save a copy without a password.", where=name)
    return DataError(f"it cannot be read as a PDF: {problem}", hint="Open it and print it to a PDF again.", where=name)


def _reading(document: pdfium.PdfDocument, name: str, reporter: Reporter) -> Reading:
    contents: list[PageContent] = []
    scores: dict[int, float] = {}
    recognized: dict[int, list[ocr.Recognized]] = {}
    scans: list[int] = []
    damaged: list[int] = []
    for index in range(len(document)):
        if reporter.should_stop():
            raise Stopped
        reporter.progress(index, len(document), f"Reading {name}")
        number = index + 1
        try:
            page = document[index]
            content = page_content(page)
            characters = sum(len(line.text) for line in content.lines) + sum(len(table) for _, table in content.tables)
            if characters < PICTURE and content.pictures:
                if ocr.available():
                    recognized[number], scores[number] = _recognized(page, name)
                scans.append(number)
        except Exception as problem:
            if type(problem).__name__ != "PdfiumError":
                raise
            damaged.append(number)
            contents.append(PageContent([], [], False, 0.0))
            continue
        contents.append(content)
        page.close()
    body = _body_size([content.lines for content in contents]) or SCANNED
    for number, found in recognized.items():
        contents[number - 1] = replace(contents[number - 1], lines=ocr.lines(found, body), tables=[])
    lines, dropped = drop_repeated([content.lines for content in contents], body)
    outline = _outline(document)
    levels, pitch = _levels(lines, body), _pitch(lines, body)
    pages = tuple(
        ReadPage(
            number=number,
            blocks=tuple(_blocks(lines[number - 1], content, body, pitch, levels, outline.get(number, {}))),
            scan=number in scans,
            ocr_score=scores.get(number),
        )
        for number, content in enumerate(contents, 1)
    )
    return Reading(
        title=_title(document, pages),
        has_pages=True,
        pages=pages,
        dropped=tuple(dropped),
        remarks=tuple(_remarks(document, len(contents), scans, scores, damaged)),
    )


def _recognized(page: object, name: str) -> tuple[list[ocr.Recognized], float]:
    """The text of a scanned page, or none where it is too unsure; and its score."""
    found, score = recognition.recognize(_rendered(page, ocr.DPI, LONGEST).to_numpy()[:, :, :3], name)
    return (found if score >= ocr.SURE else []), round(score, 3)


def _remarks(
    document: pdfium.PdfDocument, pages: int, scans: list[int], scores: dict[int, float], damaged: list[int]
) -> Iterator[str]:
    if scans and not scores:
        yield (
            f"Not read: {plural(len(scans), 'scanned page')} of {pages:,} (images without text). Install the extra `ocr` and "
            "add the document again."
        )
    unsure = [number for number, score in scores.items() if score < ocr.SURE]
    if len(scores) > len(unsure):
        sure = [score for score in scores.values() if score >= ocr.SURE]
        yield f"{plural(len(sure), 'scanned page')} recognized, mean score {sum(sure) / len(sure):.2f}."
    if unsure:
        listed = ", ".join(f"{number} ({scores[number]:.2f})" for number in unsure[:8])
        yield f"Scanned pages left out because their OCR score is below {ocr.SURE}: {listed}."
    if damaged:
        yield f"Damaged pages, not read: {', '.join(map(str, damaged[:20]))}."
    if attached := document.count_attachments():
        yield f"{plural(attached, 'attached file')} not read."


def _title(document: pdfium.PdfDocument, pages: tuple[ReadPage, ...]) -> str:
    first = next((block.text for page in pages[:1] for block in page.blocks if block.kind == "heading"), "")
    return first or " ".join(document.get_metadata_value("Title").split())


def _outline(document: pdfium.PdfDocument) -> dict[int, dict[str, int]]:
    """The titles of the document's outline, with their levels, by page."""
    found: dict[int, dict[str, int]] = {}
    for mark in document.get_toc(max_depth=6):
        target = mark.get_dest()
        index = target.get_index() if target else None
        if index is not None:
            found.setdefault(index + 1, {})[_key(mark.get_title())] = mark.level + 1
    return found


def _key(title: str) -> str:
    return re.sub(r"^[\d.\s]+", "", " ".join(title.lower().split()))


def _body_size(pages: list[list[Line]]) -> float:
    """The font size of most characters, in half points."""
    sizes = Counter[float]()
    for lines in pages:
        for line in lines:
            sizes[line.size] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _levels(pages: list[list[Line]], body: float) -> dict[float, int]:
    """The level of each font size that headings have: the largest is 1."""
    sizes = {line.size for lines in pages for line in lines if _is_large(line, body)}
    return {size: level for level, size in enumerate(sorted(sizes, reverse=True)[:5], 1)}


def _is_large(line: Line, body: float) -> bool:
    return line.size >= 1.12 * body and len(line.text) <= 160 and any(map(str.isalpha, line.text))


def _heading_level(line: Line, alone: bool, body: float, levels: dict[float, int], outline: dict[str, int]) -> int:
    """The level of a line that is a heading; 0 for any other."""
    if outline and (level := outline.get(_key(line.text))):
        return level
    if _is_large(line, body) and line.size in levels:
        return levels[line.size]
    if line.bold and alone and len(line.text) <= 100 and not _ENDS.search(line.text) and not text.is_item(line.text):
        numbered = _NUMBERED.match(line.text)
        return numbered[1].count(".") + 1 if numbered else len(levels) + 1
    return 0


def _blocks(
    lines: list[Line], content: PageContent, body: float, pitch: float, levels: dict[float, int], outline: dict[str, int]
) -> Iterator[Block]:
    """The headings, paragraphs, lists and tables of a page, from top to bottom as far as the reading order goes."""
    tables = sorted(content.tables, key=lambda item: -item[0])
    paragraph: list[Line] = []
    heading: tuple[Line, str, int] | None = None

    def ended() -> Iterator[Block]:
        nonlocal paragraph, heading
        if heading:
            yield Block(kind="heading", text=heading[1], level=heading[2])
        if paragraph:
            joined = _joined([line.text for line in paragraph])
            yield Block(kind="list" if text.is_item(joined) else "paragraph", text=joined)
        paragraph, heading = [], None

    for index, line in enumerate(lines):
        while tables and line.top < tables[0][0]:
            yield from ended()
            yield Block(kind="table", text=tables.pop(0)[1])
        before = lines[index - 1] if index else None
        following = lines[index + 1] if index + 1 < len(lines) else None
        alone = (before is None or before.bold != line.bold or _gap(before, line) > 1.35 * pitch) and (
            following is None or not following.bold or _gap(line, following) > 1.35 * pitch
        )
        level = _heading_level(line, alone, body, levels, outline)
        if level:
            if heading and heading[2] == level and heading[0].size == line.size and _gap(heading[0], line) < 2 * line.size:
                heading = (line, _joined([heading[1], line.text]), level)
                continue
            yield from ended()
            heading = (line, line.text, level)
            continue
        if heading or (paragraph and _begins(paragraph[-1], line, pitch)):
            yield from ended()
        paragraph.append(line)
    yield from ended()
    for _, table in tables:
        yield Block(kind="table", text=table)


def _begins(before: Line, line: Line, pitch: float) -> bool:
    """Whether a line begins a new paragraph (or item)."""
    gap = _gap(before, line)
    if gap < -2 * line.size:  # up: the next column, into which a sentence may go on
        return bool(_ENDS.search(before.text))
    if line.left > before.left + 8 and _ENDS.search(before.text):  # indented
        return True
    return gap > 1.35 * pitch or text.is_item(line.text) or abs(before.size - line.size) > 1


def _gap(before: Line, line: Line) -> float:
    return before.bottom - line.top


def _pitch(pages: list[list[Line]], body: float) -> float:
    """The usual distance from line to line of the text, in points."""
    gaps = Counter(
        round(gap)
        for lines in pages
        for before, line in pairwise(lines)
        if before.size == line.size == body and 0.8 * body < (gap := _gap(before, line)) < 3 * body
    )
    return gaps.most_common(1)[0][0] if gaps else 1.3 * body


def _joined(lines: list[str]) -> str:
    """Lines of a paragraph as one; a word that was hyphenated at the end of a line is one again."""
    joined = lines[0]
    for line in lines[1:]:
        parted = re.search(r"\w[-\u2010]$", joined) and line[:1].islower()
        joined = joined[:-1] + line if parted else f"{joined} {line}"
    return joined


def _rendered(page: Any, dots: float, longest: int) -> Any:
    """The bitmap of a page at so many dots per inch, or fewer where its longer side would have more pixels than `longest`."""
    return page.render(scale=min(dots / 72, longest / max(page.get_size())))


def draw(path: Path, number: int, out: Path, dots: int = 110) -> None:
    """Draw a page, from 1, into a PNG of so many dots per inch. Raises DataError."""
    import pypdfium2

    try:
        with pypdfium2.PdfDocument(path) as document:
            page: Any = document[number - 1]
            _rendered(page, dots, 1_600).to_pil().save(out, "PNG")
    except (pypdfium2.PdfiumError, IndexError) as problem:
        raise _refusal(str(problem), path.name) from None
