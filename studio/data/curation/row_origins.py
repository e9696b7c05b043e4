"""Where the rows of a version that edits made stood in the files that were uploaded."""

from __future__ import annotations

from typing import ClassVar

from studio.core.records import Record, RecordError
from studio.data.curation.edits import Status
from studio.data.curation.store import DatasetVersion

FILE = "origins.jsonl"
"""Beside the files of a version: a line for each of its rows."""


class RowOrigin(Record):
    """Where a row was first read from, and where it stands in its version's desk before anything is decided there."""

    label: ClassVar[str] = "origin of a row"
    remedy: ClassVar[str] = "Delete the file: rows are then named by their lines in this version."

    file: str
    line: int
    status: Status = "open"


def origins_of(item: DatasetVersion) -> list[RowOrigin]:
    """The origins of a version's rows in their order; empty for a version of uploaded files. Raises RecordError."""
    path = item.path / FILE
    if not path.exists():
        return []
    origins = RowOrigin.read_lines(path)
    if len(origins) != item.record.rows:
        problem = f"the version has {item.record.rows} rows, and the file origins of {len(origins)}"
        raise RecordError(problem, hint=RowOrigin.remedy, where=str(path))
    return origins
