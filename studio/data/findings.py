"""Findings: what a check of the data found, how often, in which rows, and what it does not look for."""

from __future__ import annotations

from typing import Literal

from studio.core.records import Record
from studio.core.text import plural

Severity = Literal["info", "warning", "error"]


class Example(Record):
    """One row a finding concerns: file, line (from 1), the column, and the text that shows it."""

    file: str
    line: int
    column: str = ""
    text: str = ""

    @property
    def where(self) -> str:
        """File, line and column in words."""
        return f"{self.file}, line {self.line}" + (f", column {self.column}" if self.column else "")


class Finding(Record):
    """What one check found in a dataset."""

    check: str
    """The check's name, e.g. `near_duplicates`; `reading` for what was noticed while rows were read."""
    severity: Severity
    message: str
    """What is so, as the beginning of a sentence."""
    count: int
    """Rows (or groups of rows) it concerns."""
    share: float = 0.0
    """The same as a share of the usable rows, 0 to 1."""
    unit: str = "row"
    """What `count` counts, in the singular."""
    examples: tuple[Example, ...] = ()
    """The first few."""
    not_covered: str = ""
    """What the check does not look for."""

    def __str__(self) -> str:
        first = self.examples[0] if self.examples else None
        shown = f", first in {first.where}" if first and first.line else f", in {first.file}" if first else ""
        sample = f": {first.text}" if first and first.text else ""
        return f"{self.message}: {plural(self.count, self.unit)}{shown}{sample}"
