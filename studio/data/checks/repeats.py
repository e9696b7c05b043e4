"""Exact duplicates: rows that say what an earlier row says."""

from __future__ import annotations

from array import array

from studio.data.checks.base import Check, CheckResult, Said, Texts
from studio.data.split import digest
from studio.tracking.reporter import Reporter


class Repeats:
    """Remembers eight bytes of each different row."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._rows = array("I")
        self._count = 0

    def add(self, said: Said) -> None:
        """Note the row if it was seen before."""
        mark = digest(f"{said.row.good}{said.row.rejected or ''}{said.whole}")
        if mark in self._seen:
            self._rows.append(self._count)
        self._seen.add(mark)
        self._count += 1

    def result(self, texts: Texts, reporter: Reporter) -> CheckResult:
        """Every repeat, in order."""
        return CheckResult(self._rows)


CHECK = Check(
    "repeats", "info", "rows say exactly what an earlier row says", "rows that say the same in other words", scan=Repeats
)
