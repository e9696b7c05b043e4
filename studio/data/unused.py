"""Columns that play no role, watched while rows go by: what is left out there, and whether it carries meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from studio.core.plain import is_list, is_object
from studio.core.text import shorten
from studio.data.columns import DESCRIPTIONS, LABELS, identifies, plain
from studio.data.findings import Example, Finding
from studio.data.marks import is_flag, is_number
from studio.data.paths import is_path, root
from studio.data.rows import Row

SHOWN = 80
"""Characters of a sample."""


class UnusedColumns:
    """Counts, for the columns of one file that are not used, in how many rows they hold something."""

    def __init__(self, used: Iterable[str]) -> None:
        self._columns = tuple(used)
        self._used: set[str] | None = None
        self.rows = 0
        """Rows that are used, those without such columns among them."""
        self._filled: Counter[str] = Counter()
        self._texts: Counter[str] = Counter()
        self._flags: dict[str, Counter[str]] = {}
        self._first: dict[str, Example] = {}

    def add(self, row: Row) -> None:
        """Look at a row that is used."""
        if self._used is None:
            plain = row.values.keys() - {name for name in self._columns if is_path(name)}
            self._used = {*self._columns, *(root(name, tuple(plain)) for name in self._columns)}
        self.rows += 1
        if row.values.keys() <= self._used:  # what is beside the roles stands inside a column that a path names
            return
        for name, value in row.values.items():
            if name in self._used:
                continue
            if value is None or value == "" or value == [] or value == {}:
                continue
            self._filled[name] += 1
            if is_list(value) or is_object(value) or (isinstance(value, str) and not is_number(value)):
                self._texts[name] += 1
            if is_flag(value) or str(value).strip() in ("0", "1"):
                self._flags.setdefault(name, Counter())[str(value).strip().lower()] += 1
            if name not in self._first:
                self._first[name] = Example(file=row.file, line=row.line, column=str(name), text=shorten(_shown(value), SHOWN))

    def findings(self) -> list[Finding]:
        """One finding a column: a warning where it holds text or a label in most rows, else a remark."""
        return [self._finding(name, count) for name, count in self._filled.most_common()]

    def _finding(self, name: str, count: int) -> Finding:
        words = set(plain(name).split())
        means = (self._texts[name] > self.rows / 2 and not identifies(name)) or (words & LABELS and count > self.rows / 2)
        said = self._flags.get(name, Counter[str]())
        if len(said) > 1 and said.total() == count:
            return self._parts(name, count, said)
        what = "holds text" if self._texts[name] > self.rows / 2 else "holds values"
        if words & (DESCRIPTIONS | LABELS):
            what = "describes the rows"
        return Finding(
            check="unused_columns",
            severity="warning" if means else "info",
            message=f"column `{name}` is not used and {what}",
            count=count,
            share=count / self.rows,
            examples=(self._first[name],),
            not_covered="columns whose values are all empty",
        )

    def _parts(self, name: str, count: int, said: Counter[str]) -> Finding:
        """The finding on a column of flags that tells rows apart: it may mark the good ones."""
        usual = ", ".join(f"{word} in {times:,}" for word, times in said.most_common(4))
        return Finding(
            check="unused_columns",
            severity="warning",
            message=f"column `{name}` is not used and tells rows apart ({usual}); if it marks good rows, name it as `keep`, "
            "if bad ones, as `drop`, under data.columns",
            count=count,
            share=count / self.rows,
            examples=(self._first[name],),
            not_covered="columns whose values are all the same",
        )


def _shown(value: object) -> str:
    return value if isinstance(value, str) else str(value)
