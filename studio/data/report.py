"""The data report: what the files hold, what of it can be used, and what became of every row that cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from studio.core.text import plural
from studio.data.findings import Finding
from studio.data.rows import Conversation, Rejected

LISTED = 50
"""Rejected, repeated and conflicting rows that the report lists; files beside it list all."""


@dataclass(frozen=True)
class FileReport:
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


@dataclass(frozen=True)
class Removed:
    """A good row that is left out all the same, and why."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True)
class Conflict:
    """A question that has different answers, and where two of them stand."""

    places: tuple[tuple[str, int], tuple[str, int]]


@dataclass(frozen=True)
class Split:
    """Rows on each side. leaked: training rows removed because the held-out file asks their question."""

    train: int
    held_out: int
    holdout: float | str
    seed: int
    leaked: int = 0
    held_out_duplicates: int = 0
    held_out_rejected: int = 0


@dataclass(frozen=True)
class Report:
    """The whole report. problems: why the data cannot be used as it is; empty if it can."""

    files: tuple[FileReport, ...]
    rows: int
    usable_rows: int
    """Rows that pass the checks, repeated ones included."""
    rejected: int
    rejected_by_reason: dict[str, int]
    rejected_rows: tuple[Rejected, ...]
    duplicates: int
    removed_rows: tuple[Removed, ...]
    conflicts: int
    conflict_rows: tuple[Conflict, ...]
    findings: tuple[Finding, ...]
    """What is odd about rows that are used all the same."""
    turns: int
    """Turns of any role in usable rows; a plain text counts as one."""
    characters: int
    lengths: dict[str, int]
    """Characters of a usable row: p10, p50, p90, p99, max."""
    histogram: tuple[tuple[int, int], ...]
    """(upper bound in characters, rows up to it and above the bound before)."""
    samples: tuple[Conversation, ...]
    problems: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    """What to do about the problems."""
    split: Split | None = None
    remarks: tuple[str, ...] = field(default=())
    cautions: tuple[str, ...] = ()
    """What training will ask for that this data does not have yet."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should look at though the rows are used, a sentence each with its count and first place."""
        sentences = [str(finding) for finding in self.findings if finding.severity != "info"]
        if self.conflicts:
            (file, line), (other, there) = self.conflict_rows[0].places
            sentences.append(
                f"the same question has different answers: {plural(self.conflicts, 'question')}, first {file}, line {line} "
                f"and {other}, line {there}"
            )
        return (*sentences, *(f"{file.name}: {remark}" for file in self.files for remark in file.remarks), *self.cautions)

    @property
    def usable(self) -> bool:
        """True if training can start on this data."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, as `data/report.json` keeps it."""
        return {
            "usable": self.usable,
            "problems": list(self.problems),
            "hints": list(self.hints),
            "files": [asdict(file) for file in self.files],
            "totals": {
                "rows": self.rows,
                "usable": self.usable_rows,
                "rejected": self.rejected,
                "duplicates": self.duplicates,
                "conflicts": self.conflicts,
                "turns": self.turns,
                "characters": self.characters,
            },
            "rejected": {"by_reason": self.rejected_by_reason, "first": [asdict(row) for row in self.rejected_rows]},
            "removed": [asdict(row) for row in self.removed_rows],
            "conflicts": [asdict(row) for row in self.conflict_rows],
            "warnings": list(self.warnings),
            "findings": [finding.model_dump() for finding in self.findings],
            "lengths": {**self.lengths, "histogram": [list(part) for part in self.histogram]},
            "samples": [sample.as_dict() for sample in self.samples],
            "split": asdict(self.split) if self.split else None,
            "remarks": list(self.remarks),
        }


def kind_of_reason(reason: str) -> str:
    """What a rejection is counted under: the reason up to its details."""
    return reason.partition(": ")[0]


def lengths_of(characters: Sequence[int] | np.ndarray) -> tuple[dict[str, int], tuple[tuple[int, int], ...]]:
    """Percentiles, and a histogram whose bounds double, of row lengths in characters."""
    sizes = np.asarray(characters)
    if not len(sizes):
        return {}, ()
    marks = np.percentile(sizes, (10, 50, 90, 99), method="nearest")
    named = {name: int(mark) for name, mark in zip(("p10", "p50", "p90", "p99"), marks, strict=True)}
    bins = np.ceil(np.log2(np.maximum(sizes, 1))).astype(int)
    counts = np.bincount(bins)
    first = int(np.flatnonzero(counts)[0])
    histogram = tuple((1 << place, int(count)) for place, count in enumerate(counts.tolist()) if place >= first)
    return {**named, "max": int(sizes.max())}, histogram
