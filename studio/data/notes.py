"""Notes: what a person should know about rows that are used all the same, counted by kind with their first places."""

from __future__ import annotations

from collections import Counter
from typing import Any

LISTED = 10
"""Places kept for each kind of note."""


class Unusable(Exception):
    """A row that cannot be used. reason reads `kind` or `kind: detail`; rejections are counted by kind."""

    def __init__(self, reason: str, column: str = "") -> None:
        super().__init__(reason)
        self.reason, self.column = reason, column


class Notes:
    """Collects notes while rows go by. Memory is bounded by the number of kinds."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.places: dict[str, list[dict[str, Any]]] = {}
        self._file, self._line = "", 0

    def at(self, file: str, line: int) -> None:
        """The row that following notes concern."""
        self._file, self._line = file, line

    def add(self, kind: str, column: str = "") -> None:
        """Note `kind` for the present row."""
        self.counts[kind] += 1
        places = self.places.setdefault(kind, [])
        if len(places) < LISTED:
            places.append({"file": self._file, "line": self._line, "column": column})
