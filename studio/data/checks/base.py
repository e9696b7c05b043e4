"""What a check is, and running checks over rows as a stream."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from studio.core.text import shorten
from studio.data.findings import Example, Finding, Severity
from studio.data.rows import Conversation

SHOWN = 80
"""Characters of an example."""
LISTED = 3
"""Examples of a finding."""

Look = Callable[[Conversation], str]
"""The text in a row that shows what a check looks for, or nothing."""


@dataclass(frozen=True)
class Check:
    """One check. Either `look` is asked of each row alone, or `compare` of the texts of all rows together."""

    name: str
    severity: Severity
    message: str
    """What is so of a row that is found, as the beginning of a sentence."""
    not_covered: str
    """What the check does not look for."""
    look: Look | None = None
    compare: Callable[[Sequence[str]], Sequence[int]] | None = None
    """Which rows (by index) are found, given each row's text."""


@dataclass
class _Hits:
    rows: array[int] = field(default_factory=lambda: array("I"))
    examples: list[Example] = field(default_factory=list)


def findings(rows: Iterable[Conversation], checks: Iterable[Check]) -> list[Finding]:
    """What the checks find in some rows, the most frequent first. Keeps the rows' texts only if a check compares them."""
    return [finding for finding, _ in findings_with_rows(rows, checks)]


def findings_with_rows(rows: Iterable[Conversation], checks: Iterable[Check]) -> list[tuple[Finding, Sequence[int]]]:
    """The same, each with the indices of all rows it concerns (from 0, in order)."""
    checks = list(checks)
    single = [(check, check.look, _Hits()) for check in checks if check.look is not None]
    comparing = [check for check in checks if check.compare is not None]
    texts: list[str] = []
    origins: list[tuple[str, int]] = []
    count = 0
    for row in rows:
        count += 1
        for _, look, hits in single:
            shown = look(row)
            if shown:
                hits.rows.append(count - 1)
                if len(hits.examples) < LISTED:
                    hits.examples.append(Example(file=row.file, line=row.line, text=shorten(shown, SHOWN)))
        if comparing:
            texts.append(whole_text(row))
            origins.append((row.file, row.line))
    results: list[tuple[Finding, Sequence[int]]] = [
        (_finding(check, len(hits.rows), count, hits.examples), hits.rows) for check, _, hits in single
    ]
    for check in comparing:
        assert check.compare is not None
        found = check.compare(texts)
        examples = [
            Example(file=origins[index][0], line=origins[index][1], text=shorten(texts[index], SHOWN))
            for index in found[:LISTED]
        ]
        results.append((_finding(check, len(found), count, examples), found))
    return sorted((item for item in results if item[0].count), key=lambda item: -item[0].count)


def answer_of(row: Conversation) -> str:
    """What a row teaches: its last answer, or its plain text."""
    return row.answer if row.messages else row.text


def whole_text(row: Conversation) -> str:
    """All that is said in a row."""
    return "\n".join(str(turn.get("content") or "") for turn in row.messages) if row.messages else row.text


def _finding(check: Check, found: int, rows: int, examples: list[Example]) -> Finding:
    return Finding(
        check=check.name,
        severity=check.severity,
        message=check.message,
        count=found,
        share=found / rows if rows else 0.0,
        examples=tuple(examples),
        not_covered=check.not_covered,
    )
