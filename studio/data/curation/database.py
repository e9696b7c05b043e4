"""The rows of a dataset version and what the checks found in each, in one SQLite file, with the edits laid over them.

Rows and findings can be made again from the version's files at any time; edits are the user's work. Every change is one
transaction that waits for the disk, and SQLite lets one writer in at a time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import operator
import sqlite3
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Self

import orjson

from studio.core.errors import DataError, HardwareError, Stopped
from studio.core.text import plural
from studio.data import people, prepare, surprise
from studio.data.checks import CHECKS
from studio.data.checks.base import LISTED, Options, findings_with_rows
from studio.data.checks.contradictions import question_key
from studio.data.collected import FILE as FEEDBACK
from studio.data.context import Turns
from studio.data.curation import added
from studio.data.curation import edits as edit_records
from studio.data.curation.edits import (
    DECISIONS,
    Add,
    Content,
    Status,
    effects,
)
from studio.data.curation.row_origins import RowOrigin, origins_of
from studio.data.curation.schema import FILE, LAYOUT, ROWS, connect
from studio.data.curation.store import DatasetVersion
from studio.data.curation.views import DeskRow, Progress, Query
from studio.data.findings import Finding
from studio.data.rows import Conversation
from studio.data.split import digest
from studio.data.surprise import HARDEST, SURPRISING, Scores
from studio.tracking.reporter import Reporter, Silent


class DeskDatabase:
    """The open file of a version's desk: read, searched, and brought up to its edits. Use it in a `with` statement."""

    def __init__(self, item: DatasetVersion) -> None:
        self.item = item
        self.turns: Turns = item.settings.get("turns", "strict")
        self._db = connect(item.path / FILE)

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

    @property
    def counted_by(self) -> str:
        """The model whose tokenizer counted the lengths; empty where they were estimated."""
        row = self._db.execute("SELECT value FROM meta WHERE key = 'counted_by'").fetchone()
        return row[0] if row else ""

    def build(
        self, reporter: Reporter | None = None, count: Callable[[Sequence[str]], Sequence[int]] | None = None, model: str = ""
    ) -> None:
        """Read all rows and run every check; edits stay. Raises DataError, and Stopped when asked to stop.

        count: counts the tokens of texts, by the tokenizer of `model`; else they are estimated.
        """
        reporter = reporter or Silent()
        origins = origins_of(self.item)
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
                of = origins[len(contents)] if origins else RowOrigin(file=row.file, line=row.line)
                contents.append((name, of.file, of.line, _question_number(row, name), content.as_bytes(), of.status))
                yield row

        options = Options(regions=tuple(self.item.data.regions), count_tokens=count)
        results = findings_with_rows(rows(), CHECKS.values(), options, reporter=reporter)
        reporter.progress(len(contents), len(contents), "Writing the desk")
        with self._writing():
            for table in ("flags", "findings", "scores"):
                self._db.execute(f"DELETE FROM {table}")
            for statement in ROWS:
                self._db.execute(statement)
            self._db.executemany(
                "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                (
                    (number, name, file, line, asked, content, status, status, Content.from_line(content).said.casefold())
                    for number, (name, file, line, asked, content, status) in enumerate(contents, 1)
                ),
            )
            for finding, indices in results:
                self._keep(finding, indices)
            self._insert(added.counting(self._db))
            self._set("made_from", _made_from(self.item))
            self._set("counted_by", model)
            self._settle([row for (row,) in self._db.execute("SELECT DISTINCT row FROM touched")])

    def _insert(self, additions: Sequence[Add]) -> None:
        added.insert(self._db, additions, lambda edit: _question_number(edit.after.conversation(), edit.row))

    def keep_scores(self, scores: Scores) -> None:
        """Remember what a base model makes of the rows, and the hardest and most surprising ones as findings."""
        with self._writing():
            self._db.execute("DELETE FROM scores")
            for check in (HARDEST, SURPRISING):
                self._db.execute("DELETE FROM findings WHERE check_name = ?", (check,))
                self._db.execute("DELETE FROM flags WHERE check_name = ?", (check,))
            values = zip(scores.rows.tolist(), scores.with_question.tolist(), scores.bare.tolist(), strict=True)
            self._db.executemany("INSERT INTO scores VALUES (?, ?, ?)", ((row + 1, asked, bare) for row, asked, bare in values))
            for finding, indices in surprise.findings(scores):
                shown = [self.row(index + 1) for index in indices[:LISTED]]
                examples = tuple(
                    surprise.example(row.original.conversation(row.file, row.line), row.loss or 0.0, row.bare) for row in shown
                )
                self._keep(finding.model_copy(update={"examples": examples}), indices)

    def keep_names(self, named: people.Named) -> None:
        """Remember which rows name people, by the model that looked last."""
        with self._writing():
            self._db.execute("DELETE FROM findings WHERE check_name = ?", (people.NAMES,))
            self._db.execute("DELETE FROM flags WHERE check_name = ?", (people.NAMES,))
            shown = [self.row(index + 1) for index in named.rows[:LISTED]]
            examples = tuple(people.example(row.original.conversation(row.file, row.line)) for row in shown)
            self._keep(people.finding(named).model_copy(update={"examples": examples}), named.rows)

    def _keep(self, finding: Finding, indices: Sequence[int]) -> None:
        self._db.execute("INSERT INTO findings VALUES (?, ?)", (finding.check, finding.model_dump_json()))
        self._db.executemany("INSERT INTO flags VALUES (?, ?)", ((finding.check, index + 1) for index in indices))

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
        """The rows a query finds: `most` of them from the one at index `start`. In their order, the hardest and most surprising
        ones the worst first."""
        query = query or Query()
        where, values = self._where(query)
        order = {HARDEST: "-asked, number", SURPRISING: "bare - asked, number"}.get(query.check, "number")
        found = self._db.execute(
            "SELECT number, id, file, line, status, content, edited, asked, bare, "
            "(SELECT group_concat(check_name) FROM flags WHERE flags.number = rows.number) "
            f"FROM rows LEFT JOIN scores USING (number) {where} ORDER BY {order} LIMIT ? OFFSET ?",
            (*values, -1 if most is None else most, start),
        )
        for number, name, file, line, status, content, edited, asked, bare, checks in found:
            yield DeskRow(
                number, name, file, line, status, Content.from_line(content),
                Content.from_line(edited) if edited is not None else None,
                tuple(sorted(checks.split(","))) if checks else (), asked, bare,
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
        self._db.execute("CREATE TEMP TABLE IF NOT EXISTS settling (row TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("DELETE FROM settling")
        self._db.executemany("INSERT OR IGNORE INTO settling VALUES (?)", ((name,) for name in names))
        found = self._db.execute(
            "SELECT rows.id, base_status, content, edited IS NOT NULL, edit FROM settling JOIN rows ON rows.id = settling.row "
            "LEFT JOIN touched ON touched.row = rows.id LEFT JOIN edits ON edits.seq = touched.seq AND undone IS NULL "
            "ORDER BY rows.id, touched.seq"
        )  # an edit of a row that the version, read otherwise, does not have, is not among them
        statuses: list[tuple[Status, str]] = []
        contents: list[tuple[bytes | None, int, str, str]] = []
        for (name, status, line, was_edited), group in itertools.groupby(found, key=operator.itemgetter(0, 1, 2, 3)):
            content: Content | None = None
            for *_, edit in group:
                status, content = _after(edit, name, status, content, line)
            statuses.append((status, name))
            if content is not None or was_edited:
                original = Content.from_line(line)
                content = content or original
                changed = content.as_bytes() if content != original else None
                contents.append((changed, _question_number(content.conversation(), name), content.said.casefold(), name))
        self._db.executemany("UPDATE rows SET status = ? WHERE id = ?", statuses)
        self._db.executemany("UPDATE rows SET edited = ?, prompt = ?, said = ? WHERE id = ?", contents)

    def _where(self, query: Query) -> tuple[str, tuple[object, ...]]:
        conditions, values = list[str](), list[object]()
        if query.check:
            conditions.append("number IN (SELECT number FROM flags WHERE check_name = ?)")
            values.append(query.check)
        if query.status == "edited":
            conditions.append("edited IS NOT NULL")
        elif query.status == "added":
            conditions.append("file = ?")
            values.append(FEEDBACK)
        elif query.status:
            conditions.append("status = ?")
            values.append(query.status)
        if query.text.strip():
            conditions.append("instr(said, ?)")
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
    def _writing(self) -> Generator[None]:
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


def _after(edit: str | None, name: str, status: Status, content: Content | None, line: bytes) -> tuple[Status, Content | None]:
    """Status and content of a row after an edit. content: None while it says what it said at first, which is in `line`."""
    if edit is None:
        return status, content
    values = orjson.loads(edit)
    if values["action"] in DECISIONS:
        return DECISIONS[values["action"]], content
    present = content or Content.from_line(line)
    for effect in effects(edit_records.parse(values), lambda _: present):
        if effect.row == name:
            status, content = effect.status or status, effect.content or content
    return status, content


def _made_from(item: DatasetVersion) -> str:
    return json.dumps([LAYOUT, item.sha256, item.settings, sorted(CHECKS)], sort_keys=True)


def _question_number(row: Conversation, name: str) -> int:
    """What a row asks, as contradictions are told by, in an integer that SQLite holds; the row's own where none counts."""
    key = question_key(row)
    number = digest(name) if key is None else key
    return number - (1 << 64) if number >= 1 << 63 else number
