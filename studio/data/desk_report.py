"""What the checks of the content found in the rows a run trains on, as the run keeps it and its reports show it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar

from studio.core.records import Record
from studio.core.text import plural
from studio.data.checks import CHECKS
from studio.data.checks.base import Options, findings
from studio.data.findings import Finding
from studio.data.prepare import conversations
from studio.data.rows import Conversation
from studio.tracking.reporter import Reporter

MOST = 100_000
"""Training rows that are checked: as many take about twenty CPU seconds."""


class DeskReport(Record):
    """The findings, as `data/findings.json` keeps them."""

    label: ClassVar[str] = "report of the data's checks"
    remedy: ClassVar[str] = "Delete it; a resumed run writes it again."

    rows: int
    """Training rows that were checked, from the first."""
    findings: tuple[Finding, ...]

    @property
    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Column names and a line for each finding, for reports; no text of a row is in it."""
        names = ("Check", "Severity", "What was found", "Count", "Share", "First in", "Not looked for")
        return names, [
            (
                item.check,
                item.severity,
                item.message,
                f"{item.count:,}",
                f"{item.share:.1%}",
                item.examples[0].where if item.examples else "",
                item.not_covered,
            )
            for item in self.findings
        ]

    def summary(self) -> tuple[str, ...]:
        """What to look at before training, in a sentence, with the first place of each kind; empty where nothing was found."""
        found = [item for item in self.findings if item.severity != "info"]
        if not found:
            return ()
        parts = [
            f"{item.check.replace('_', ' ')} in {plural(item.count, 'row')} (first {item.examples[0].where})" for item in found
        ]
        return (f"the checks of {plural(self.rows, 'training row')} found {', '.join(parts)}: studio data desk shows them",)


def check_rows(train: Path, regions: tuple[str, ...], reporter: Reporter, most: int = MOST) -> DeskReport:
    """Check the first `most` rows of a prepared `train.jsonl`. Raises Stopped when asked to stop."""
    checked = 0

    def rows() -> Iterator[Conversation]:
        nonlocal checked
        for row in islice(conversations(train), most):
            checked += 1
            yield row

    found = findings(rows(), CHECKS.values(), Options(regions=regions), reporter=reporter)
    return DeskReport(rows=checked, findings=tuple(found))
