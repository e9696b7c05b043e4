"""Lines above the names of a table's columns, such as a title, a date or who exported it: the line of the names is found."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence

from studio.core.errors import DataError
from studio.core.text import shorten
from studio.data.readers.facts import Facts

_ABOVE = 20
"""Lines that may stand above the names."""

Lines = Sequence[tuple[int, Sequence[str]]]
"""Numbers and cells of the lines that hold something."""


def refuse_preamble(head: Sequence[str], delimiters: Sequence[str], facts: Facts) -> None:
    """Raise DataError, with the line of the names, if other lines stand above it, whichever delimiter parts the cells."""
    for delimiter in delimiters:
        lines = _cut(head, delimiter)
        if (header := names_below(lines)) is not None:
            raise not_the_names(head[lines[0][0] - 1], header, facts)


def not_the_names(first: str, header: int, facts: Facts, what: str = "line") -> DataError:
    """The refusal of a table whose first line is no line of names, with the setting to write."""
    return DataError(
        f"its first {what} ({shorten(first.strip(), 40)!r}) does not name the columns; {what} {header} does",
        hint=f"Write under data: header_row: {header}  (the {what} that names the columns).",
        where=facts.name,
    )


def names_below(lines: Lines) -> int | None:
    """The line that names the columns, if that is not the first one.

    Below a line of fewer cells than most have, it is the first that has them all and reads like names. Among lines of as
    many cells, it is one of names that are known to ask and to answer.
    """
    if len(lines) < 3:
        return None
    below, named = lines[1 : _ABOVE + 1], _known_words(lines[0][1])
    exact = next(((number, cells) for number, cells in below if ask_and_answer(cells)), None)
    if exact is not None and (not named or _groups(lines[0][1], exact[1])):
        return exact[0]
    if named:
        return None
    widths = Counter(len(cells) for _, cells in lines[1:])
    usual, times = widths.most_common(1)[0]
    first = _filled(lines[0][1])
    if usual < 2 or first >= usual or times <= 0.5 * widths.total():
        return None
    for number, cells in below:
        if _filled(cells) >= usual:
            sure = _known_words(cells) or (first == 1 and usual > 2)
            return number if sure and _reads_like_names(cells) else None
    return None


def _groups(first: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a line names groups of the columns that the line below names, so that it has gaps."""
    return _filled(first) < _filled(names) and not ask_and_answer(first)


def _cut(head: Sequence[str], delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(iter(head), delimiter=delimiter)
    lines: list[tuple[int, list[str]]] = []
    before = 0
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                lines.append((before + 1, cells))
            before = reader.line_num
    except csv.Error:
        pass
    return lines


def _filled(cells: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in cells)


def _reads_like_names(cells: Sequence[str]) -> bool:
    names = [cell.strip() for cell in cells if cell.strip()]
    apart = len({name.casefold() for name in names}) == len(names)
    return apart and all(len(name.split()) <= 6 and name[0].isalpha() and name[-1] not in ".?!" for name in names)


def _known_words(cells: Sequence[str]) -> bool:
    """Whether a cell is one of the names that columns are known by, or ends with a word of such a name."""
    from studio.data.columns import IDENTIFIERS, LABELS, plain
    from studio.data.formats import FORMATS
    from studio.data.usual_names import ANSWERS, QUESTIONS

    roles = {name for form in FORMATS.values() for known in form.roles.values() for name in known}
    single = {*ANSWERS, *QUESTIONS, *IDENTIFIERS, *LABELS}
    said = [plain(cell) for cell in cells if cell.strip() and len(cell) <= 40]
    return any(name in roles or (name.split()[-1:] and name.split()[-1] in single) for name in said)


def ask_and_answer(cells: Sequence[str]) -> bool:
    """Whether among the cells of a line are a known name of questions and one of answers."""
    from studio.data.columns import plain
    from studio.data.formats import FORMATS

    known = FORMATS["question_answer"].roles
    said = {plain(cell) for cell in cells}
    return bool(said.intersection(known["question"])) and bool(said.intersection(known["answer"]))
