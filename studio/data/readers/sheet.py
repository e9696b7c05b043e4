"""Excel workbooks: the first sheet, row by row, as the values that were last computed."""

from __future__ import annotations

import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from studio.core.errors import DataError
from studio.data.readers.containers import refuse_bomb
from studio.data.readers.facts import Facts
from studio.data.rows import Rejected, Row


def rows(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """Rows of the first sheet with content, by the names in its first row; a row's line is its row in the sheet."""
    try:
        with zipfile.ZipFile(stream) as parts:
            refuse_bomb(parts, facts.name)
        yield from _rows(stream, facts)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError) as problem:
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
        sheets = [sheet for sheet in book.worksheets if _has_rows(sheet)]
        if not sheets:
            raise DataError("no sheet has any rows", hint="Put the rows on the first sheet.", where=facts.name)
        facts.details["sheet"] = sheets[0].title
        if len(sheets) > 1:
            rest = ", ".join(f"`{sheet.title}`" for sheet in sheets[1:])
            facts.remarks.append(f"Only the sheet `{sheets[0].title}` was read, not {rest}. Save those as files of their own.")
        names: list[str] = []
        for number, cells in enumerate(sheets[0].iter_rows(values_only=True), 1):
            if not any(cell is not None for cell in cells):
                continue
            if not names:
                names = _names(cells, facts.name, number)
                continue
            yield Row(dict(zip(names, cells, strict=False)), facts.name, number)
    finally:
        book.close()


def _has_rows(sheet: Any) -> bool:
    sheet.reset_dimensions()  # some writers state a wrong size, and rows beyond it would be lost
    return any(any(cell is not None for cell in cells) for cells in sheet.iter_rows(values_only=True, max_row=50))


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
