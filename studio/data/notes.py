"""Notes: what a person should know about rows that are used all the same, counted by kind with their first examples."""

from __future__ import annotations

from collections import Counter

from studio.data.findings import Example, Finding

LISTED = 10
"""Examples kept for each kind of note."""


class Unusable(Exception):
    """A row that cannot be used. reason reads `kind` or `kind: detail`; rejections are counted by kind."""

    def __init__(self, reason: str, column: str = "") -> None:
        super().__init__(reason)
        self.reason, self.column = reason, column


class Notes:
    """Collects notes while rows go by. Memory is bounded by the number of kinds."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[Example]] = {}
        self._file, self._line = "", 0

    def at(self, file: str, line: int) -> None:
        """The row that following notes concern."""
        self._file, self._line = file, line

    def add(self, kind: str, column: str = "") -> None:
        """Note `kind` for the present row."""
        self.counts[kind] += 1
        examples = self.examples.setdefault(kind, [])
        if len(examples) < LISTED:
            examples.append(Example(file=self._file, line=self._line, column=column))

    def findings(self, rows: int) -> tuple[Finding, ...]:
        """The notes as findings among `rows` usable rows, the most frequent first."""
        return tuple(
            Finding(
                check="reading",
                severity="warning",
                message=kind,
                count=count,
                share=min(count / rows, 1.0) if rows else 0.0,
                unit="time",
                examples=tuple(self.examples[kind]),
            )
            for kind, count in self.counts.most_common()
        )
