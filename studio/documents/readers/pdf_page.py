"""A page of a PDF: its lines with place and font, and its ruled tables."""

from __future__ import annotations

import ctypes
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from studio.documents.readers import text

if TYPE_CHECKING:
    from pypdfium2 import PdfTextPage

_LIGATURES = {0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st"}
_HYPHENS = (0x02, 0xFFFE, 0xAD)
"""How a hyphen that parts a word at the end of a line comes out of PDFium, which then goes on with the next line."""
_MOST_PATHS = 4_000
"""Drawn shapes of a page that are looked at for tables; maps and plots have many more."""


@dataclass(frozen=True)
class Line:
    """A line of text. top and bottom: points from the page's lower edge to its first and last character's baseline, which
    differ where a hyphenated word joins two lines; size: of its font, in half points."""

    text: str
    top: float
    left: float
    size: float
    bold: bool
    bottom: float


@dataclass(frozen=True)
class PageContent:
    """What stands on a page. tables: (top, Markdown) each."""

    lines: list[Line]
    tables: list[tuple[float, str]]
    pictures: bool
    height: float


@dataclass(frozen=True)
class _Character:
    text: str
    left: float
    right: float
    bottom: float
    top: float
    index: int


def page_content(page: Any) -> PageContent:
    """The content of a page that pypdfium2 has opened."""
    import pypdfium2.raw as pdfium

    textpage = page.get_textpage()
    try:
        objects = list(page.get_objects(max_depth=2))
        pictures = any(item.type == pdfium.FPDF_PAGEOBJ_IMAGE for item in objects)
        grids = _grids([item.get_bounds() for item in objects if item.type == pdfium.FPDF_PAGEOBJ_PATH][:_MOST_PATHS])
        lines, cells = _lines(textpage, grids)
    finally:
        textpage.close()
    tables = []
    for grid, characters in zip(grids, cells, strict=True):
        content = text.table(_cells(grid, characters))
        if content:
            tables.append((grid.top, content))
    return PageContent(lines, tables, pictures, page.get_height())


@dataclass(frozen=True)
class _Grid:
    """A ruled table: where its lines run, from left to right and from top to bottom."""

    columns: tuple[float, ...]
    rows: tuple[float, ...]

    @property
    def top(self) -> float:
        return self.rows[0]

    def holds(self, x: float, y: float) -> bool:
        return self.columns[0] <= x <= self.columns[-1] and self.rows[-1] <= y <= self.rows[0]


def _lines(textpage: PdfTextPage, grids: list[_Grid]) -> tuple[list[Line], list[list[_Character]]]:
    """The lines outside of tables, and the characters inside each."""
    import pypdfium2.raw as pdfium

    handle = textpage.raw
    box = [ctypes.c_double() for _ in range(4)]
    lines: list[Line] = []
    cells: list[list[_Character]] = [[] for _ in grids]
    characters: list[_Character] = []
    for index in range(pdfium.FPDFText_CountChars(handle)):
        code = pdfium.FPDFText_GetUnicode(handle, index)
        if code == 0x0D:
            continue
        if code == 0x0A:
            _end_line(handle, characters, lines)
            characters = []
            continue
        if code == 0 or code in _HYPHENS:
            continue
        content = _LIGATURES.get(code) or (" " if code == 0xA0 else chr(code))
        pdfium.FPDFText_GetCharBox(handle, index, *box)  # left, right, bottom, top
        left, right, bottom, top = (value.value for value in box)
        character = _Character(content, left, right, bottom, top, index)
        for grid, inside in zip(grids, cells, strict=True):
            if grid.holds((left + right) / 2, (bottom + top) / 2):
                inside.append(_advanced(handle, character))
                break
        else:
            characters.append(character)
    _end_line(handle, characters, lines)
    return lines, cells


def _advanced(handle: object, character: _Character) -> _Character:
    """The character with the width that it takes in its line: letters of a word leave no gap then, however narrow they are."""
    import pypdfium2.raw as pdfium

    box = pdfium.FS_RECTF()
    if not pdfium.FPDFText_GetLooseCharBox(handle, character.index, box):
        return character
    return replace(character, left=box.left, right=box.right)


def _end_line(handle: object, characters: list[_Character], lines: list[Line]) -> None:
    import pypdfium2.raw as pdfium

    content = "".join(item.text for item in characters)
    content = " ".join(content.encode("utf-16", "surrogatepass").decode("utf-16", "replace").split())
    seen = [item for item in characters if item.text.strip() and item.top > item.bottom]
    if not content or not seen:
        return
    middle = seen[len(seen) // 2]
    size = _font_size(handle, middle.index)
    weights = [pdfium.FPDFText_GetFontWeight(handle, item.index) for item in (seen[0], middle, seen[-1])]
    bold = all(weight >= 600 for weight in weights) or all(_is_bold(handle, item.index) for item in (seen[0], seen[-1]))
    lines.append(
        Line(content, _baseline(handle, seen[0]), seen[0].left, round(2 * size) / 2, bold, _baseline(handle, seen[-1]))
    )


def _baseline(handle: object, character: _Character) -> float:
    import pypdfium2.raw as pdfium

    x, y = ctypes.c_double(), ctypes.c_double()
    return y.value if pdfium.FPDFText_GetCharOrigin(handle, character.index, x, y) else character.bottom


def _font_size(handle: object, index: int) -> float:
    """The font size in points as it is seen: the font's own, scaled by the text's matrix."""
    import pypdfium2.raw as pdfium

    matrix = pdfium.FS_MATRIX()
    size = pdfium.FPDFText_GetFontSize(handle, index)
    if pdfium.FPDFText_GetMatrix(handle, index, matrix):
        size *= max(abs(matrix.d), abs(matrix.b)) or 1.0
    return size


def _is_bold(handle: object, index: int) -> bool:
    import pypdfium2.raw as pdfium

    buffer, flags = ctypes.create_string_buffer(128), ctypes.c_int()
    length = pdfium.FPDFText_GetFontInfo(handle, index, buffer, 128, flags)
    name = buffer.raw[: max(length - 1, 0)].decode("latin-1").lower()
    return any(word in name for word in ("bold", "black", "heavy", "semibold", "demi"))


def _grids(bounds: list[tuple[float, float, float, float]]) -> list[_Grid]:
    """The ruled tables among drawn shapes (left, bottom, right, top): lines, or cells drawn as rectangles, that meet."""
    flat: list[tuple[float, float, float]] = []  # y, from x, to x
    upright: list[tuple[float, float, float]] = []  # x, from y, to y
    for left, bottom, right, top in bounds:
        if top - bottom <= 2 and right - left >= 15:
            flat.append(((top + bottom) / 2, left, right))
        elif right - left <= 2 and top - bottom >= 6:
            upright.append(((left + right) / 2, bottom, top))
        elif right - left >= 15 and top - bottom >= 6:
            flat += [(bottom, left, right), (top, left, right)]
            upright += [(left, bottom, top), (right, bottom, top)]
    group = list(range(len(flat) + len(upright)))

    def root(item: int) -> int:
        while group[item] != item:
            group[item] = group[group[item]]
            item = group[item]
        return item

    for row, (y, x0, x1) in enumerate(flat):
        for column, (x, y0, y1) in enumerate(upright, len(flat)):
            if x0 - 3 <= x <= x1 + 3 and y0 - 3 <= y <= y1 + 3:
                group[root(row)] = root(column)
    parts: dict[int, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for item in range(len(group)):
        if item < len(flat):
            parts[root(item)][1].append(flat[item][0])
        else:
            parts[root(item)][0].append(upright[item - len(flat)][0])
    grids = []
    for xs, ys in parts.values():
        columns, rows = _distinct(xs), _distinct(ys)
        if len(columns) >= 3 and len(rows) >= 3:
            grids.append(_Grid(tuple(columns), tuple(reversed(rows))))
    grids.sort(key=lambda grid: (grid.rows[-1] - grid.rows[0]) * (grid.columns[-1] - grid.columns[0]))  # the largest first
    return grids


def _distinct(values: list[float]) -> list[float]:
    """Values from the least, those within three points as one."""
    found: list[float] = []
    for value in sorted(values):
        if not found or value - found[-1] > 3:
            found.append(value)
    return found


def _cells(grid: _Grid, characters: list[_Character]) -> list[list[str]]:
    found: dict[tuple[int, int], list[_Character]] = defaultdict(list)
    for item in characters:
        x, y = (item.left + item.right) / 2, (item.bottom + item.top) / 2
        row = next((index for index, (high, low) in enumerate(pairwise(grid.rows)) if low <= y <= high), None)
        column = next((index for index, (low, high) in enumerate(pairwise(grid.columns)) if low <= x <= high), None)
        if row is not None and column is not None:
            found[row, column].append(item)
    return [
        [_cell(found.get((row, column), [])) for column in range(len(grid.columns) - 1)] for row in range(len(grid.rows) - 1)
    ]


def _cell(characters: list[_Character]) -> str:
    """The text of a cell: a space where its characters are apart or on another line."""
    parts: list[str] = []
    for before, item in pairwise([None, *characters]):
        assert item is not None
        if before is not None:
            apart = item.left - before.right > 0.15 * max(item.top - item.bottom, before.top - before.bottom, 1.0)
            if (apart or item.top < before.bottom) and not item.text.isspace():
                parts.append(" ")
        parts.append(item.text)
    return " ".join("".join(parts).split())
