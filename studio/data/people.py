"""Rows that name people, as a finding: which rows a model that the user chose says so of."""

from __future__ import annotations

from dataclasses import dataclass

from studio.data.findings import Example, Finding
from studio.data.rows import Conversation

NAMES = "names"
"""The name of the finding, as those of checks are used."""


@dataclass(frozen=True)
class Named:
    """What a model says of rows. rows: the indices of those that name people, in order; looked_at: how many it read."""

    model: str
    rows: tuple[int, ...]
    looked_at: int


def finding(named: Named) -> Finding:
    """The finding, without examples; one of no rows says that names were looked for."""
    count = len(named.rows)
    return Finding(
        check=NAMES,
        severity="warning" if count else "info",
        message=f"texts name people, by {named.model}" if count else f"no names of people were found by {named.model}",
        count=count,
        share=count / named.looked_at if named.looked_at else 0.0,
        not_covered="names that the model misses, and other words that tell who somebody is",
    )


def example(row: Conversation) -> Example:
    """A row as an example; the name itself would travel with the report."""
    return Example(file=row.file, line=row.line, text="name of a person")
