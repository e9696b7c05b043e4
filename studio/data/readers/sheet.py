"""Excel workbooks: the first sheet and those like it, row by row, as the values that were last computed."""

from __future__ import annotations

import datetime
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.etree import ElementTree

from studio.core.errors import DataError
from studio.core.text import nearest, shorten
from studio.data.readers.containers import refuse_bomb
from studio.data.readers.facts import Facts
from studio.data.readers.preamble import names_below, not_the_names
from studio.data.rows import Rejected, Row

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

_LOOKED_AT = 50
"""Rows of a sheet that are looked at to see what it is."""


def rows(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """Rows of the first sheet that is a table, and of those with the same columns; a row's line is its row in its sheet."""
    try:
        with zipfile.ZipFile(stream) as parts:
            refuse_bomb(parts, facts.name)
        yield from _rows(stream, facts)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError, ElementTree.ParseError) as problem:
        raise DataError(
            f"it cannot be read as an Excel workbook: {problem}",
            hint="Open it and save it as .xlsx again, or as .csv.",
            where=facts.name,
        ) from None


def _rows(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl's remarks on styles it does not know
        book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
    try:
        sheets = _chosen(book, facts)
        for sheet in sheets:
            yield from _rows_of(sheet, facts, facts.name if sheet is sheets[0] else f"{facts.name}:{sheet.title}")
    finally:
        book.close()


def _rows_of(sheet: ReadOnlyWorksheet, facts: Facts, name: str) -> Iterator[Row]:
    names: list[str] = []
    shares: frozenset[str] = frozenset()
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        if not any(cell is not None for cell in cells) or number < (facts.header_row or 1):
            continue
        if not names:
            names = _names(cells, name, number)
            shares = _shares(sheet, names)
            continue
        while len(names) < len(cells) and any(cell is not None for cell in cells[len(names) :]):
            names.append(f"column {len(names) + 1}")  # cells under no name must not vanish
        values = {column: _value(cell, column in shares, facts) for column, cell in zip(names, cells, strict=False)}
        yield Row(values, name, number)


def _shares(sheet: ReadOnlyWorksheet, names: list[str]) -> frozenset[str]:
    """The columns whose numbers are shown as a percentage, by the first rows."""
    found: set[str] = set()
    for cells in sheet.iter_rows(max_row=_LOOKED_AT):
        for name, cell in zip(names, cells, strict=False):
            if isinstance(cell.value, float | int) and "%" in str(getattr(cell, "number_format", "")):
                found.add(name)
    return frozenset(found)


def _value(cell: object, share: bool, facts: Facts) -> Any:
    """A cell's value as it is read on the sheet: days and times as text, a share as a percentage."""
    if isinstance(cell, datetime.datetime | datetime.date | datetime.time):
        if "dates" not in facts.details:
            facts.details["dates"] = "as text"
            facts.remarks.append("Dates and times are written as 2026-03-01 and 09:30.")
        if isinstance(cell, datetime.datetime):
            return cell.date().isoformat() if cell.time() == datetime.time() else cell.strftime("%Y-%m-%d %H:%M")
        return cell.strftime("%H:%M") if isinstance(cell, datetime.time) else cell.isoformat()
    if isinstance(cell, str) and "_x00" in cell:
        from openpyxl.utils.escape import unescape

        return unescape(cell)  # Excel writes control characters, such as the end of a line, as _x000D_
    if share and isinstance(cell, float | int) and not isinstance(cell, bool):
        return f"{round(cell * 100, 6):g}%"
    return cell


def _chosen(book: Workbook, facts: Facts) -> list[Any]:
    """The sheets that are read: the one the settings name, else the first that is a table and those with the same columns.
    Raises DataError."""
    titles = [sheet.title for sheet in book.worksheets]
    if facts.sheet and facts.sheet not in titles:
        near = nearest(facts.sheet, titles)
        hint = f"Did you mean data.sheet: {near}?" if near else f"The sheets are: {', '.join(titles)}."
        raise DataError(f"there is no sheet `{facts.sheet}`", hint=hint, where=facts.name)
    sheets = [sheet for sheet in book.worksheets if _has_rows(sheet)]
    if not sheets:
        raise DataError("no sheet has any rows", hint="Put the rows on the first sheet.", where=facts.name)
    tables = [sheet for sheet in sheets if _width(sheet) > 1] or sheets
    chosen = next((sheet for sheet in sheets if sheet.title == facts.sheet), tables[0])
    names = _header(chosen, facts)
    alike = [] if facts.sheet else [sheet for sheet in sheets if sheet is not chosen and _header(sheet, facts) == names]
    read = [chosen, *alike]
    facts.details["sheet"] = ", ".join(sheet.title for sheet in read)
    listed = " and ".join(f"`{sheet.title}`" for sheet in read)
    rest = ", ".join(f"`{sheet.title}`" for sheet in sheets if sheet not in read)
    if rest and not facts.sheet:
        only = f"Only the sheet{'s' if alike else ''} {listed} {'were' if alike else 'was'} read"
        facts.remarks.append(f"{only}, not {rest}. Set data.sheet to read another.")
    elif alike:
        facts.remarks.append(f"The sheets {listed} have the same columns; all were read.")
    if facts.header_row is None:
        _refuse_title(chosen, facts)
    return read


def _header(sheet: ReadOnlyWorksheet, facts: Facts) -> list[str]:
    """The names in the row that names a sheet's columns."""
    first = facts.header_row or 1
    rows = sheet.iter_rows(values_only=True, min_row=first, max_row=first + _LOOKED_AT)
    cells = next((cells for cells in rows if any(cell is not None for cell in cells)), ())
    return _trimmed([str(cell).strip() if cell is not None else "" for cell in cells])


def _refuse_title(sheet: ReadOnlyWorksheet, facts: Facts) -> None:
    """Raise DataError if the first row is a title above the names: one cell, where a later row and those below have more."""
    rows = list(sheet.iter_rows(values_only=True, max_row=_LOOKED_AT))
    filled = [(number, sum(cell not in (None, "") for cell in cells)) for number, cells in enumerate(rows, 1)]
    filled = [(number, count) for number, count in filled if count]
    if len(filled) < 3:
        return
    if filled[0][1] > 1:
        _refuse_groups(rows, filled, facts)
        texts = [(number, [str(cell) if cell is not None else "" for cell in rows[number - 1]]) for number, _ in filled]
        if (named := names_below([(number, _trimmed(cells)) for number, cells in texts])) is not None:
            raise not_the_names(", ".join(filter(None, texts[0][1])), named, facts, "row")
        return
    widths = [count for _, count in filled]
    usual = max(set(widths), key=widths.count)
    header = next((number for number, count in filled if count >= max(usual, 2)), None)
    if header is not None and max(widths) > 1:
        raise DataError(
            f"its first row holds one cell ({shorten(str(next(cell for cell in rows[filled[0][0] - 1] if cell)), 40)!r}), "
            "so it does not name the columns",
            hint=f"Write under data: header_row: {header}  (the row that names the columns).",
            where=facts.name,
        )


def _refuse_groups(rows: list[tuple[Any, ...]], filled: list[tuple[int, int]], facts: Facts) -> None:
    """Raise DataError if the first row names groups of columns (merged cells) and the row below it the columns."""
    first, second = (rows[number - 1] for number, _ in filled[:2])
    last = max(index for index, cell in enumerate(first) if cell is not None)
    gaps = [index for index, cell in enumerate(first[:last]) if cell is None and second[index] is not None]
    texts = [cell for cell in second if cell is not None]
    if gaps and all(isinstance(cell, str) and len(cell) <= 40 for cell in texts) and len(set(texts)) == len(texts):
        raise DataError(
            "its first row names some columns only, and the row below it looks like names as well",
            hint=f"Write under data: header_row: {filled[1][0]}  if that row names the columns; else name every column.",
            where=facts.name,
        )


def _trimmed(cells: list[str]) -> list[str]:
    """The cells without the empty ones at the end."""
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


def _width(sheet: ReadOnlyWorksheet) -> int:
    rows = sheet.iter_rows(values_only=True, max_row=_LOOKED_AT)
    return max((sum(cell is not None for cell in cells) for cells in rows), default=0)


def _has_rows(sheet: ReadOnlyWorksheet) -> bool:
    sheet.reset_dimensions()  # some writers state a wrong size, and rows beyond it would be lost
    return any(any(cell is not None for cell in cells) for cells in sheet.iter_rows(values_only=True, max_row=_LOOKED_AT))


def _names(cells: tuple[Any, ...], file: str, number: int) -> list[str]:
    while cells and cells[-1] is None:
        cells = cells[:-1]
    names = [str(cell).strip() if cell is not None else f"column {place}" for place, cell in enumerate(cells, 1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"two columns are both called `{twice[0]}`",
            hint="Give each column a name of its own.",
            where=f"{file}, row {number}",
        )
    return names
