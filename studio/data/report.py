"""The data report: what the files hold, what of it can be used, and what became of every row that cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import computed_field, field_serializer

from studio.core.records import Record
from studio.core.text import plural
from studio.data.findings import Finding
from studio.data.rows import Conversation, Rejected

LISTED = 50
"""Rejected, repeated and conflicting rows that the report lists; files beside it list all."""


class FileReport(Record):
    """What one source was found to be, and how many of its rows can be used."""

    name: str
    path: str
    kind: str
    container: str
    bytes: int
    sha256: str
    encoding: str
    format: str
    columns: dict[str, str]
    confidence: float
    reasons: tuple[str, ...]
    runner_up: str
    runner_up_confidence: float
    details: dict[str, str]
    remarks: tuple[str, ...]
    rows: int
    usable: int
    rejected: int


class Removed(Record):
    """A good row that is left out all the same, and why."""

    file: str
    line: int
    reason: str


class Conflict(Record):
    """A question that has different answers, and where two of them stand."""

    places: tuple[tuple[str, int], tuple[str, int]]


class Split(Record):
    """Rows on each side. leaked: training rows removed because the held-out file asks their question."""

    train: int
    held_out: int
    holdout: float | str
    seed: int
    leaked: int = 0
    held_out_duplicates: int = 0
    held_out_rejected: int = 0


class Totals(Record):
    """Counts over all files."""

    rows: int
    usable: int
    """Rows that pass the checks, repeated ones included."""
    rejected: int
    duplicates: int
    conflicts: int
    """Questions with different answers."""
    turns: int
    """Turns of any role in usable rows; a plain text counts as one."""
    characters: int


class Rejections(Record):
    """Rows that cannot be used: how many for each reason, and the first ones."""

    by_reason: dict[str, int]
    first: tuple[Rejected, ...]


class Lengths(Record):
    """Characters of a usable row: percentiles, and a histogram."""

    p10: int = 0
    p50: int = 0
    p90: int = 0
    p99: int = 0
    max: int = 0
    histogram: tuple[tuple[int, int], ...] = ()
    """(upper bound in characters, rows up to it and above the bound before)."""


class DataReport(Record):
    """The whole report, as `data/report.json` keeps it."""

    label: ClassVar[str] = "data report"
    schema_version: ClassVar[int] = 2
    remedy: ClassVar[str] = "Prepare the data again: delete the run and train it anew."

    files: tuple[FileReport, ...]
    totals: Totals
    rejected: Rejections
    removed: tuple[Removed, ...]
    """The first good rows that are left out."""
    conflicts: tuple[Conflict, ...]
    """The first questions with different answers."""
    findings: tuple[Finding, ...]
    """What is odd about rows that are used all the same."""
    lengths: Lengths
    samples: tuple[Conversation, ...]
    problems: tuple[str, ...] = ()
    """Why the data cannot be used as it is; empty if it can."""
    hints: tuple[str, ...] = ()
    """What to do about the problems."""
    split: Split | None = None
    remarks: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    """What training will ask for that this data does not have yet."""

    @computed_field
    @property
    def usable(self) -> bool:
        """True if training can start on this data."""
        return not self.problems

    @computed_field
    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should look at though the rows are used, a sentence each with its count and first place."""
        sentences = [str(finding) for finding in self.findings if finding.severity != "info"]
        if self.conflicts:
            (file, line), (other, there) = self.conflicts[0].places
            sentences.append(
                f"the same question has different answers: {plural(self.totals.conflicts, 'question')}, "
                f"first {file}, line {line} and {other}, line {there}"
            )
        sentences += [f"{file.name}: {remark}" for file in self.files for remark in file.remarks]
        return tuple(dict.fromkeys([*sentences, *self.cautions]))

    def __str__(self) -> str:
        state = "usable" if self.usable else "not usable as it is"
        return "\n".join([f"{state}: {self.counts}", *self.warnings, *self.problems, *(f"→ {hint}" for hint in self.hints)])

    def __repr__(self) -> str:
        state = "usable" if self.usable else "not usable as it is"
        return f"<DataReport of {', '.join(file.name for file in self.files)}: {state}, {self.counts}>"

    @property
    def counts(self) -> str:
        """Rows usable, left out and on each side of the split, in words."""
        parts = [f"{self.totals.usable:,} of {self.totals.rows:,} rows usable"]
        left_out = self.totals.model_dump(include={"rejected", "duplicates", "conflicts"})
        sides = self.split.model_dump(exclude={"seed", "holdout"}) if self.split else {}
        parts += [f"{number:,} {name}" for name, number in left_out.items() if number]
        return ", ".join(parts + [f"{name.replace('_', ' ')} {number:,}" for name, number in sides.items() if number])

    @classmethod
    def upgrade(cls, values: dict[str, Any], version: int) -> dict[str, Any]:
        """Version 1 kept its warnings as sentences only."""
        return {"findings": (), "cautions": values["warnings"], **values}

    @field_serializer("samples")
    def _samples(self, samples: tuple[Conversation, ...]) -> list[dict[str, Any]]:
        return [sample.as_dict() for sample in samples]


def kind_of_reason(reason: str) -> str:
    """What a rejection is counted under: the reason up to its details."""
    return reason.partition(": ")[0]


def lengths_of(characters: Sequence[int] | np.ndarray) -> Lengths:
    """Percentiles, and a histogram whose bounds double, of row lengths in characters."""
    sizes = np.asarray(characters)
    if not len(sizes):
        return Lengths()
    p10, p50, p90, p99 = (int(mark) for mark in np.percentile(sizes, (10, 50, 90, 99), method="nearest"))
    bins = np.ceil(np.log2(np.maximum(sizes, 1))).astype(int)
    counts = np.bincount(bins)
    first = int(np.flatnonzero(counts)[0])
    histogram = tuple((1 << power, int(count)) for power, count in enumerate(counts.tolist()) if power >= first)
    return Lengths(p10=p10, p50=p50, p90=p90, p99=p99, max=int(sizes.max()), histogram=histogram)
