"""CSV and TSV: the delimiter is found, quoted texts may go over lines, and a row's line is where it truly begins."""

from __future__ import annotations

import csv
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any, BinaryIO

from studio.core.errors import DataError
from studio.core.text import count, plural, shorten
from studio.data.readers.encoding import text_lines
from studio.data.readers.facts import COLUMNS, ROW_BYTES, Facts
from studio.data.readers.preamble import refuse_preamble
from studio.data.readers.sniff import mark_of_names, other_delimiter
from studio.data.readers.tickets import names_issues
from studio.data.rows import Rejected, Row

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_LOOKED_AT = 200
_LOOK_AHEAD = 5_000
"""Lines a quoted text may go over. A quote that is not closed within is taken as missing."""


def rows(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """Rows by the names in the first line. A row that is broken is rejected, and reading goes on at the next line."""
    csv.field_size_limit(ROW_BYTES)
    source = _Lines(stream, facts)
    head = source.lookahead(_LOOKED_AT)
    if head and head[0].strip().lower().startswith("sep=") and len(head[0].strip()) <= 5:
        delimiter = head[0].strip()[4:] or "\t"
        next(source)
        source.settle()
    else:
        delimiter = _delimiter(head[(facts.header_row or 1) - 1 :], "\t" if facts.kind == ".tsv" else ",")
        if facts.header_row is None:
            refuse_preamble(head, (delimiter, *(mark for mark in _DELIMITERS if mark != delimiter)), facts)
    for _ in range((facts.header_row or 1) - 1):
        next(source, None)
        source.settle()
    facts.details["delimiter"] = _DELIMITERS.get(delimiter, delimiter)
    spaced = _quotes_behind_spaces(head, delimiter)
    if spaced:
        facts.remarks.append("Spaces between the delimiter and a quote were not read as text.")
    reader = csv.reader(source, delimiter=delimiter, strict=True, skipinitialspace=spaced)
    names, repeated = _names(reader, source, facts)
    width = len(names)
    repeats = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            if repeats:
                facts.remarks.append(
                    f"The names of the columns stand {plural(repeats, 'more time')} further down; not read as rows."
                )
            return
        except csv.Error as problem:
            yield source.reject(_reason(problem))
            continue
        line = source.settle()
        if not any(map(str.strip, cells)):
            continue  # a line of nothing but delimiters, as spreadsheets leave at the end
        if cells[0].strip() == names[0] and [cell.strip() for cell in cells] == names:
            repeats += 1  # tables that were put one below the other, each with its names
        elif repeated:
            yield Row(_gathered(names, repeated, cells), facts.name, line)
        elif len(cells) == width:
            yield Row(dict(zip(names, cells, strict=True)), facts.name, line)
        elif len(cells) < width or not any(map(str.strip, cells[width:])):
            yield Row(dict(zip(names, cells, strict=False)), facts.name, line)
        else:
            reason = f"too many cells: {len(cells)} where the first line names {width}; a text with the delimiter needs quotes"
            yield Rejected(facts.name, line, reason, "", delimiter.join(cells)[:200])


def _quotes_behind_spaces(head: list[str], delimiter: str) -> bool:
    """Whether most lines have a space between the delimiter and a quote (`"a", "b"`), so that the quotes would be text."""
    looked_at = [cells for cells in csv.reader(iter(head[1:40]), delimiter=delimiter) if cells]
    behind = [cells for cells in looked_at if any(cell.startswith(" ") and cell.lstrip(" ").startswith('"') for cell in cells)]
    return delimiter != "\t" and len(behind) > 0.5 * len(looked_at)


class _Lines:
    """Lines of text that remember what the present row has taken, so that a row with a missing quote can be taken back."""

    def __init__(self, stream: BinaryIO, facts: Facts) -> None:
        self._lines = text_lines(stream, newline="", limit=ROW_BYTES)
        self._facts = facts
        self._waiting: deque[str] = deque()
        self._taken: list[str] = []
        self._next_line = 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self._taken) >= _LOOK_AHEAD:
            raise csv.Error("quote not closed")
        line = self._waiting.popleft() if self._waiting else self._read()
        if not self._taken:  # a byte order mark, as files have that were put one below the other
            line = line.removeprefix("\ufeff")
        self._taken.append(line)
        return line

    def settle(self) -> int:
        """The row is read well: forget its lines, and give the number of the first of them that is not blank."""
        taken = self._taken
        first = self._next_line
        self._next_line += len(taken)
        if len(taken) > 1:
            first += next((place for place, line in enumerate(taken) if line.strip()), 0)
        taken.clear()
        return first

    def reject(self, reason: str) -> Rejected:
        """The row cannot be read: its first line is rejected, and the others are read again as rows of their own."""
        while len(self._taken) > 1 and not self._taken[0].strip():
            self._taken.pop(0)
            self._next_line += 1
        first = self._taken[0] if self._taken else ""
        self._waiting.extendleft(reversed(self._taken[1:]))
        self._taken.clear()
        self._next_line += 1
        shown = first[:200].rstrip().encode("utf-8", "replace").decode()
        return Rejected(self._facts.name, self._next_line - 1, reason, "", shown)

    def lookahead(self, count: int) -> list[str]:
        """The next lines without taking them."""
        while len(self._waiting) < count:
            try:
                self._waiting.append(self._read())
            except StopIteration:
                break
        return list(self._waiting)[:count]

    def _read(self) -> str:
        line = next(self._lines)
        if len(line) >= ROW_BYTES:
            raise DataError(
                f"a single line has over {plural(ROW_BYTES, 'character')}",
                hint="Is this a text table at all? Check the file and its ending.",
                where=f"{self._facts.name}, line {self._next_line + len(self._taken) + len(self._waiting)}",
            )
        return line


def _names(reader: Iterator[list[str]], source: _Lines, facts: Facts) -> tuple[list[str], frozenset[str]]:
    """Column names from the first line with content, and those of them that stand there more than once.

    Raises DataError if there is none, or if two are the same in a table whose tool does not write lists so.
    """
    try:
        names = next((cells for cells in reader if any(cell.strip() for cell in cells)), list[str]())
    except csv.Error as problem:
        raise DataError(
            f"the first line with the column names cannot be read: {problem}",
            hint="Check its quotes.",
            where=f"{facts.name}, line 1",
        ) from None
    line = source.settle()
    if not names:
        raise DataError("there is no line with column names", hint="Write them in the first line.", where=facts.name)
    while len(names) > 1 and not names[-1].strip():
        names.pop()
    if len(names) > COLUMNS:
        raise DataError(
            f"its first line names {count(len(names))} columns, and at most {count(COLUMNS)} are read",
            hint="Save a table of the columns that hold texts. If rows and columns are exchanged, transpose it first.",
            where=f"{facts.name}, line {line}",
        )
    names = [name.strip() or f"column {place}" for place, name in enumerate(names, 1)]
    names = [name.encode("utf-8", "replace").decode() for name in names]  # a stray byte must not break the report
    if len(names) == 1 and (mark := other_delimiter(names[0])):
        raise DataError(
            f"its columns are parted by `{mark}`, which is not read as a delimiter",
            hint="Save it with a comma, semicolon, tab or bar between the columns.",
            where=f"{facts.name}, line {line}",
        )
    if len(names) == 1 and sum(mark in names[0] for mark in ",;\t|") and mark_of_names(names[0]):
        raise DataError(
            "each of its lines stands in quotes as a whole, so that it has one column",
            hint="Save the table again as CSV: quotes belong around a single text, not around a line.",
            where=f"{facts.name}, line {line}",
        )
    if any(name.lstrip().startswith(("{", "[{")) for name in names):
        raise DataError(
            f"its first line names no columns: it begins with {shorten(names[0], 40)!r}",
            hint="Put a line with the names of the columns above it, or name the file by what it holds, such as .jsonl.",
            where=f"{facts.name}, line {line}",
        )
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice and not names_issues(names):
        raise DataError(
            f"two columns are both called `{twice[0]}`",
            hint="Give each column a name of its own.",
            where=f"{facts.name}, line {line}",
        )
    if twice:
        listed = ", ".join(f"`{name}`" for name in twice[:6]) + (" …" if twice[6:] else "")
        facts.remarks.append(f"Columns that stand several times in it were read as lists: {listed}.")
    return names, frozenset(twice)


def _gathered(names: list[str], repeated: frozenset[str], cells: list[str]) -> dict[str, Any]:
    """A row in which the cells of columns of the same name are a list, without the empty ones."""
    values: dict[str, Any] = {name: [] if name in repeated else "" for name in names}
    for name, cell in zip(names, cells, strict=False):
        if name not in repeated:
            values[name] = cell
        elif cell.strip():
            values[name].append(cell)
    return values


def _delimiter(head: list[str], usual: str) -> str:
    """The delimiter that cuts the most lines into the same number of cells, more than one; else the usual one."""
    best, delimiter = 1.0, usual
    for candidate in (usual, *(mark for mark in _DELIMITERS if mark != usual)):
        widths = Counter(_widths(head, candidate))
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
        first = next(iter(_widths(head[:20], candidate)), 1)
        score = (count / widths.total()) * min(width, 4) if width > 1 and first > 1 else 0.0
        if score > best:
            best, delimiter = score, candidate
    if best == 1.0:  # no delimiter is consistent: go by the names
        counts = {mark: head[0].count(mark) for mark in _DELIMITERS} if head else {}
        top = max(counts, key=lambda mark: counts[mark], default=usual)
        return top if counts.get(top) else usual
    return delimiter


def _widths(head: list[str], delimiter: str) -> Iterator[int]:
    reader = csv.reader(iter(head), delimiter=delimiter)
    try:
        yield from (len(cells) for cells in reader if cells)
    except csv.Error:
        return


def _reason(problem: csv.Error) -> str:
    text = str(problem)
    if "expected after" in text:
        return "broken quotes: a quote inside a quoted text must be doubled"
    if "unexpected end" in text or "not closed" in text or "field limit" in text:
        return "broken quotes: a quote is opened and never closed"
    return f"broken row: {text}"
