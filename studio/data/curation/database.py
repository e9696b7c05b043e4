"""The rows of a dataset version and what the checks found in each, in one SQLite file, with the edits laid over them.

Rows and findings can be made again from the version's files at any time; edits are the user's work. Every change is one
transaction that waits for the disk, and SQLite lets one writer in at a time.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

from studio.core.errors import DataError, HardwareError, Stopped
from studio.core.files import read_json_lines
from studio.core.text import plural
from studio.data import prepare
from studio.data.checks import CHECKS
from studio.data.checks.base import Options, findings_with_rows
from studio.data.checks.contradictions import question_key
from studio.data.context import Turns
from studio.data.curation import edits as edit_records
from studio.data.curation.edits import (
    Content,
    Status,
    effects,
)
from studio.data.curation.store import DatasetVersion
from studio.data.curation.views import DeskRow, Progress, Query
from studio.data.findings import Finding
from studio.data.rows import Conversation
from studio.data.split import digest
from studio.tracking.reporter import Reporter, Silent

FILE = "desk.db"
ORIGINS = "origins.jsonl"
"""Beside the files of a version that edits made: where each row came from, and whether it is approved."""
LAYOUT = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rows (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, file TEXT NOT NULL, line INTEGER NOT NULL, prompt INTEGER NOT NULL,
    content BLOB NOT NULL, status TEXT NOT NULL, base_status TEXT NOT NULL, edited BLOB
);
CREATE INDEX IF NOT EXISTS by_status ON rows (status);
CREATE INDEX IF NOT EXISTS by_prompt ON rows (prompt);
CREATE TABLE IF NOT EXISTS flags (check_name TEXT, number INTEGER, PRIMARY KEY (check_name, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_number ON flags (number);
CREATE TABLE IF NOT EXISTS findings (check_name TEXT PRIMARY KEY, finding TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS edits (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, batch INTEGER NOT NULL, edit TEXT NOT NULL, undone REAL
);
CREATE TABLE IF NOT EXISTS touched (row TEXT, seq INTEGER, PRIMARY KEY (row, seq)) WITHOUT ROWID;
"""


class DeskDatabase:
    """The open file of a version's desk: read, searched, and brought up to its edits. Use it in a `with` statement."""

    def __init__(self, item: DatasetVersion) -> None:
        self.item = item
        self.turns: Turns = item.settings.get("turns", "strict")
        self._db = _connect(item.path / FILE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def ready(self) -> bool:
        """Whether its rows were made, from the version as it is read now."""
        row = self._db.execute("SELECT value FROM meta WHERE key = 'made_from'").fetchone()
        return row is not None and row[0] == _made_from(self.item)

    def build(self, reporter: Reporter | None = None) -> None:
        """Read all rows and run every check; edits stay. Raises DataError, and Stopped when asked to stop."""
        reporter = reporter or Silent()
        origins = _origins(self.item.path / ORIGINS)
        contents: list[tuple[str, str, int, int, bytes, str]] = []
        seen: Counter[str] = Counter()

        def rows() -> Iterator[Conversation]:
            for row in prepare.usable(self.item.data, needs="labels"):
                if len(contents) % 1000 == 0:
                    if reporter.should_stop():
                        raise Stopped
                    reporter.progress(len(contents), self.item.record.rows, "Checking rows")
                content = Content.of(row)
                mark = content.digest
                seen[mark] += 1
                name = mark if seen[mark] == 1 else f"{mark}.{seen[mark]}"
                file, line, status = origins[len(contents)] if len(contents) < len(origins) else (row.file, row.line, "open")
                contents.append((name, file, line, _asked(row, name), content.as_bytes(), status))
                yield row

        options = Options(regions=tuple(self.item.data.regions))
        results = findings_with_rows(rows(), CHECKS.values(), options, reporter=reporter)
        reporter.progress(len(contents), len(contents), "Writing the desk")
        with self._writing():
            for table in ("rows", "flags", "findings"):
                self._db.execute(f"DELETE FROM {table}")
            self._db.executemany(
                "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                (
                    (number, name, file, line, prompt, content, status, status)
                    for number, (name, file, line, prompt, content, status) in enumerate(contents, 1)
                ),
            )
            for finding, numbers in results:
                self._db.execute("INSERT INTO findings VALUES (?, ?)", (finding.check, finding.model_dump_json()))
                self._db.executemany("INSERT INTO flags VALUES (?, ?)", ((finding.check, number + 1) for number in numbers))
            self._set("made_from", _made_from(self.item))
            self._settle([row for (row,) in self._db.execute("SELECT DISTINCT row FROM touched")])

    def findings(self) -> list[Finding]:
        """What the checks found, the most severe and most frequent first."""
        order = {"error": 0, "warning": 1, "info": 2}
        found = [Finding.model_validate_json(text) for (text,) in self._db.execute("SELECT finding FROM findings")]
        return sorted(found, key=lambda item: (order[item.severity], -item.count))

    def left(self) -> dict[str, int]:
        """For each finding, the rows of it that nobody has decided about."""
        return dict(
            self._db.execute(
                "SELECT check_name, COUNT(*) FROM flags JOIN rows USING (number) WHERE status = 'open' GROUP BY check_name"
            ).fetchall()
        )

    def progress(self) -> Progress:
        """How far the curation is."""
        counts = dict(self._db.execute("SELECT status, COUNT(*) FROM rows GROUP BY status").fetchall())
        (edited,) = self._db.execute("SELECT COUNT(*) FROM rows WHERE edited IS NOT NULL AND status != 'excluded'").fetchone()
        return Progress(sum(counts.values()), counts.get("approved", 0), counts.get("excluded", 0), edited)

    def count(self, query: Query) -> int:
        """How many rows a query finds."""
        where, values = self._where(query)
        return int(self._db.execute(f"SELECT COUNT(*) FROM rows {where}", values).fetchone()[0])

    def rows(self, query: Query | None = None, start: int = 0, most: int | None = None) -> Iterator[DeskRow]:
        """The rows a query finds, in order: `most` of them from the one at index `start`."""
        where, values = self._where(query or Query())
        found = self._db.execute(
            f"SELECT number, id, file, line, status, content, edited FROM rows {where} ORDER BY number LIMIT ? OFFSET ?",
            (*values, -1 if most is None else most, start),
        )
        for number, name, file, line, status, content, edited in found:
            checks = self._db.execute("SELECT check_name FROM flags WHERE number = ? ORDER BY check_name", (number,))
            yield DeskRow(
                number, name, file, line, status, Content.from_line(content),
                Content.from_line(edited) if edited is not None else None, tuple(check for (check,) in checks),
            )  # fmt: skip

    def row(self, name: str | int) -> DeskRow:
        """One row, by its id or its number. Raises DataError."""
        return next(iter(self.rows(Query(rows=(str(name),)))))

    def same_question(self, row: DeskRow) -> list[DeskRow]:
        """All rows that ask what this one asks, itself among them, that are not excluded."""
        found = self._db.execute(
            "SELECT number FROM rows WHERE prompt = (SELECT prompt FROM rows WHERE id = ?) AND status != 'excluded' "
            "ORDER BY number LIMIT 200",
            (row.id,),
        ).fetchall()
        return [self.row(number) for (number,) in found]

    def _settle(self, names: Iterable[str]) -> None:
        """Bring status and content of rows up to the edits that count."""
        for name in names:
            base = self._db.execute("SELECT base_status, content FROM rows WHERE id = ?", (name,)).fetchone()
            if base is None:  # an edit of a row that the version, read otherwise, does not have
                continue
            status, original = base[0], Content.from_line(base[1])
            content = original
            texts = self._db.execute(
                "SELECT edit FROM edits JOIN touched USING (seq) WHERE row = ? AND undone IS NULL ORDER BY seq", (name,)
            ).fetchall()
            for (text,) in texts:
                for effect in effects(edit_records.parse(json.loads(text)), lambda _, now=content: now):
                    if effect.row == name:
                        status, content = effect.status or status, effect.content or content
            changed = content.as_bytes() if content != original else None
            asked = _asked(content.conversation(), name)
            self._db.execute("UPDATE rows SET status = ?, edited = ?, prompt = ? WHERE id = ?", (status, changed, asked, name))

    def _where(self, query: Query) -> tuple[str, tuple[object, ...]]:
        conditions, values = [], []
        if query.check:
            conditions.append("number IN (SELECT number FROM flags WHERE check_name = ?)")
            values.append(query.check)
        if query.status == "edited":
            conditions.append("edited IS NOT NULL")
        elif query.status:
            conditions.append("status = ?")
            values.append(query.status)
        if query.text.strip():
            conditions.append("says(COALESCE(edited, content), ?)")
            values.append(query.text.strip().casefold())
        if query.rows:
            numbers = [self._number(name) for name in query.rows]
            conditions.append(f"number IN ({','.join('?' * len(numbers))})")
            values += numbers
        return (f"WHERE {' AND '.join(conditions)}" if conditions else ""), tuple(values)

    def _number(self, name: str) -> int:
        """The number of a row that is named by its number or id; the id counts where it could be both. Raises DataError."""
        row = self._db.execute("SELECT number FROM rows WHERE id = ?", (name,)).fetchone()
        if row is None and name.lstrip("#").isdigit() and len(name) < 16:
            row = self._db.execute("SELECT number FROM rows WHERE number = ?", (int(name.lstrip("#")),)).fetchone()
        if row is None:
            (count,) = self._db.execute("SELECT COUNT(*) FROM rows").fetchone()
            raise DataError(
                f"there is no row `{name}` in {self.item.reference}",
                hint=f"It has {plural(count, 'row')}, numbered from 1.",
                where="row",
            )
        return int(row[0])

    def _set(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction: all of it, or nothing."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as problem:
            raise HardwareError(
                f"the desk cannot be written: {problem}",
                hint="Another process may be writing; try again.",
                where=self.item.title,
            ) from None
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _connect(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=30, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.executescript(_SCHEMA)
    except sqlite3.OperationalError as problem:
        db.close()
        raise HardwareError(
            f"the desk cannot be opened: {problem}", hint="Check disk space and permissions.", where=str(file)
        ) from None
    except sqlite3.DatabaseError as problem:
        db.close()
        raise DataError(
            f"the desk's file is damaged: {problem}",
            hint="Move it away and open the desk again: rows are read anew, edits that are in no version yet are lost.",
            where=str(file),
        ) from None
    db.create_function("says", 2, _says, deterministic=True)
    return db


def _says(content: bytes, text: str) -> bool:
    """Whether a row's words hold a text, in whatever case."""
    return text in Content.from_line(content).said.casefold()


def _made_from(item: DatasetVersion) -> str:
    return json.dumps([LAYOUT, item.sha256, item.settings, sorted(CHECKS)], sort_keys=True)


def _origins(file: Path) -> list[tuple[str, int, Status]]:
    return [(line["file"], line["line"], line.get("status", "open")) for line in read_json_lines(file)]


def _asked(row: Conversation, name: str) -> int:
    """What a row asks, as contradictions are told by, in an integer that SQLite holds; the row's own where none counts."""
    key = question_key(row)
    number = digest(name) if key is None else key
    return number - (1 << 64) if number >= 1 << 63 else number
