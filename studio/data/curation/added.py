"""Rows that edits add to a desk: they stand behind the version's own rows until a new version holds them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence

from studio.data.collected import FILE
from studio.data.curation import edits as edit_records
from studio.data.curation.edits import Add, Edit


def of(edits: Iterable[Edit]) -> list[Add]:
    """The additions among edits."""
    return [edit for edit in edits if isinstance(edit, Add)]


def counting(db: sqlite3.Connection) -> list[Add]:
    """The additions that were not undone, in order."""
    found = db.execute(
        "SELECT edit FROM edits WHERE undone IS NULL AND json_extract(edit, '$.action') = 'add' ORDER BY seq"
    ).fetchall()
    return of(edit_records.parse(json.loads(text)) for (text,) in found)


def insert(db: sqlite3.Connection, additions: Sequence[Add], question_of: Callable[[Add], int]) -> None:
    """Put added rows behind the others. question_of: what a row asks, as contradictions are told by."""
    (last,) = db.execute("SELECT COALESCE(MAX(number), 0) FROM rows").fetchone()
    db.executemany(
        "INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?, ?, ?, 'open', 'open', ?, NULL)",
        (
            (number, edit.row, FILE, edit.source.number, question_of(edit), edit.after.as_bytes(), edit.after.said.casefold())
            for number, edit in enumerate(additions, last + 1)
        ),
    )


def remove(db: sqlite3.Connection, additions: Iterable[Add]) -> None:
    """Take added rows away again."""
    db.executemany("DELETE FROM rows WHERE id = ?", ((edit.row,) for edit in additions))
