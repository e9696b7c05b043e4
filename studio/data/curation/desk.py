"""The desk of a dataset version: its rows, what the checks found in each, and the edits laid over them, in one SQLite file.

Rows and findings can be made again from the version's files at any time; edits are the user's work. Every change is one
transaction that waits for the disk, and SQLite lets one writer in at a time.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from studio.core.errors import DataError, HardwareError, Stopped
from studio.core.files import read_json_lines
from studio.core.text import plural
from studio.data import prepare, split
from studio.data.checks import CHECKS
from studio.data.checks.base import Options, findings_with_rows
from studio.data.context import Turns
from studio.data.curation import edits as edit_records
from studio.data.curation.edits import (
    Approve,
    Content,
    Edit,
    Exclude,
    Join,
    KeepAnswer,
    Mask,
    Relabel,
    Rewrite,
    Status,
    checked_content,
    effects,
    joined,
    rows_of,
)
from studio.data.curation.masking import masked
from studio.data.curation.store import DatasetVersion
from studio.data.findings import Finding
from studio.data.rows import Conversation
from studio.tracking.reporter import Reporter, Silent

FILE = "desk.db"
ORIGINS = "origins.jsonl"
"""Beside the files of a version that edits made: where each row came from, and whether it is approved."""
LAYOUT = 1
REPEATS, CONTRADICTIONS = "repeats", "contradictions"
Which: TypeAlias = Literal["first", "last", "longest"]
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


@dataclass(frozen=True)
class DeskRow:
    """A row as the desk shows it."""

    number: int
    """1 is the first of the version."""
    id: str
    file: str
    line: int
    status: Status
    original: Content
    edited: Content | None
    """What it says after the edits; None while they change nothing."""
    checks: tuple[str, ...] = ()
    """The checks that found something in it."""

    @property
    def content(self) -> Content:
        """What it says now."""
        return self.edited or self.original


@dataclass(frozen=True)
class Progress:
    """How far the curation of a version is, in rows."""

    total: int
    approved: int
    excluded: int
    edited: int

    @property
    def open(self) -> int:
        """Rows nobody has decided about."""
        return self.total - self.approved - self.excluded

    def __str__(self) -> str:
        changed = f", {self.edited:,} edited" if self.edited else ""
        return f"{self.approved:,} approved, {self.excluded:,} excluded, {self.open:,} to see{changed}"


@dataclass(frozen=True)
class Query:
    """Which rows of a desk: all conditions that are given hold."""

    check: str = ""
    status: Status | Literal["", "edited"] = ""
    text: str = ""
    rows: tuple[str, ...] = ()
    """Ids, or numbers from 1, of single rows."""
    every: bool = False
    """True to say that all rows are meant; nothing else has to be given then."""

    def __bool__(self) -> bool:
        return bool(self.check or self.status or self.text or self.rows or self.every)


@dataclass(frozen=True)
class Batch:
    """Edits that were made, or undone, together."""

    number: int
    count: int
    action: str
    """What was done, e.g. `exclude`."""
    unchanged: int = 0
    """Rows that were asked for and had nothing to change."""
    skipped: tuple[str, ...] = field(default=())


_Make: TypeAlias = Callable[[DeskRow], Edit | None]


class Desk:
    """An open desk. Use it in a `with` statement; `open_desk` makes its rows where they are missing."""

    def __init__(self, item: DatasetVersion) -> None:
        self.item = item
        self.turns: Turns = item.settings.get("turns", "strict")
        self._db = _connect(item.path / FILE)

    def __enter__(self) -> Desk:
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
            for row in prepare.usable(self.item.data):
                if len(contents) % 1000 == 0:
                    if reporter.should_stop():
                        raise Stopped
                    reporter.progress(len(contents), self.item.record.rows, "Checking rows")
                content = Content.of(row)
                digest = content.digest
                seen[digest] += 1
                name = digest if seen[digest] == 1 else f"{digest}.{seen[digest]}"
                file, line, status = origins[len(contents)] if len(contents) < len(origins) else (row.file, row.line, "open")
                prints = split.fingerprint(row)
                contents.append((name, file, line, _signed(prints[2]), content.as_bytes(), status))
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

    # Edits: each method is one batch, which `undo` takes back as a whole.

    def approve(self, query: Query, why: str = "") -> Batch:
        """Mark rows as good."""
        return self._each(query, "approve", why, lambda row: Approve(row=row.id) if row.status != "approved" else None)

    def exclude(self, query: Query, why: str = "") -> Batch:
        """Leave rows out of the next version."""
        return self._each(query, "exclude", why, lambda row: Exclude(row=row.id) if row.status != "excluded" else None)

    def mask(self, query: Query, kinds: Sequence[str] = (), why: str = "") -> Batch:
        """Replace personal data, of these kinds or of all, by tokens in rows that are not excluded."""

        def edit(row: DeskRow) -> Edit | None:
            found = masked(row.content, kinds, self.item.data.regions) if row.status != "excluded" else None
            return Mask(row=row.id, after=found.content, kinds=found.kinds, before=row.content.digest) if found else None

        return self._each(query, "mask", why, edit)

    def rewrite(self, name: str | int, content: Content, why: str = "") -> Batch:
        """Let a row say something else. Raises DataError if it could not be trained on."""
        content = checked_content(content, self.turns, f"row {name}")
        return self._each(
            Query(rows=(str(name),)),
            "edit",
            why,
            lambda row: Rewrite(row=row.id, after=content, before=row.content.digest) if content != row.content else None,
        )

    def relabel(self, query: Query, answer: str, why: str = "") -> Batch:
        """Give rows another answer. Raises DataError for an empty one."""
        if not answer.strip():
            raise DataError("the new answer is empty", hint="Write the label the rows should have.", where="relabel")
        return self._each(
            query, "relabel", why, lambda row: Relabel(row=row.id, answer=answer) if row.content.answer != answer else None
        )

    def keep_answer(self, name: str | int, why: str = "") -> Batch:
        """Of the rows that ask the same, keep this one's answer: rows that answer otherwise are left out."""
        row = self.row(name)
        others = tuple(
            other.id for other in self.same_question(row) if other.id != row.id and other.content.answer != row.content.answer
        )
        if not others:
            raise DataError("no other row answers this question differently", hint="Approve the row.", where=f"row {name}")
        return self._do("keep_answer", [KeepAnswer(row=row.id, others=others)], why)

    def keep_answers(self, which: Which, query: Query | None = None, why: str = "") -> Batch:
        """For every question with different answers keep the first, the last or the longest one."""
        asked = query or Query(check=CONTRADICTIONS)
        made: list[Edit] = []
        done: set[str] = set()
        for row in self.rows(asked):
            if row.id in done or row.status == "excluded":
                continue
            group = self.same_question(row)
            done.update(item.id for item in group)
            chosen = (
                group[0] if which == "first" else group[-1] if which == "last"
                else max(group, key=lambda item: len(item.content.answer))
            )  # fmt: skip
            others = tuple(item.id for item in group if item.content.answer != chosen.content.answer)
            if others:
                made.append(KeepAnswer(row=chosen.id, others=others))
        return self._do("keep_answer", made, why)

    def join(self, names: Sequence[str | int], why: str = "") -> Batch:
        """Make one conversation of several rows, in this order, in the place of the first."""
        rows = [self.row(name) for name in names]
        if len({row.id for row in rows}) < 2:
            raise DataError("one row cannot be joined", hint="Name two rows or more.", where="join")
        kinds = {row.content.format for row in rows}
        if len(kinds) > 1 or "preference" in kinds:
            raise DataError(
                "only conversations, or only plain texts, can be joined", hint="Join rows of one kind.", where="join"
            )
        after = checked_content(joined([row.content for row in rows]), self.turns, f"row {rows[0].number}")
        return self._do("join", [Join(row=rows[0].id, others=tuple(row.id for row in rows[1:]), after=after)], why)

    def apply(self, edits: Iterable[Edit], where: str = "") -> Batch:
        """Edits from elsewhere, e.g. a JSONL file, as one batch. Raises DataError for a row that is not there, or that says
        something else than the edit was made for; nothing is applied then."""
        made: list[Edit] = []
        for place, edit in enumerate(edits, 1):
            line = f"{where}, line {place}" if where else f"edit {place}"
            known = {name: self._known(name, line) for name in rows_of(edit)}
            present = known[edit.row]
            if isinstance(edit, (Rewrite, Mask)):
                if edit.before and edit.before != present.content.digest:
                    raise DataError(
                        f"row {present.number} says something else by now",
                        hint="Make the edit again from the present row: studio data curate NAME --json lists rows.",
                        where=line,
                    )
                edit = edit.model_copy(update={"after": checked_content(edit.after, self.turns, line)})
            if isinstance(edit, Join):
                edit = edit.model_copy(update={"after": checked_content(edit.after, self.turns, line)})
            ids = {name: row.id for name, row in known.items()}  # a file may name rows by their numbers
            changes: dict[str, object] = {"row": ids[edit.row]}
            if isinstance(edit, (KeepAnswer, Join)):
                changes["others"] = tuple(ids[name] for name in edit.others)
            made.append(edit.model_copy(update=changes))
        return self._do("apply", made, "")

    def undo(self) -> Batch:
        """Take back the last batch that was not taken back yet. Raises DataError if there is none."""
        with self._writing():
            row = self._db.execute("SELECT MAX(batch) FROM edits WHERE undone IS NULL").fetchone()
            if row[0] is None:
                raise DataError("there is nothing to undo", hint="No edit was made on this version.", where=self.item.title)
            number = int(row[0])
            texts = [text for (text,) in self._db.execute("SELECT edit FROM edits WHERE batch = ?", (number,))]
            undone = [edit_records.parse(json.loads(text)) for text in texts]
            self._db.execute("UPDATE edits SET undone = ? WHERE batch = ?", (time.time(), number))
            self._settle(sorted({name for edit in undone for name in rows_of(edit)}))
            return Batch(number, len(undone), undone[0].action)

    def edits(self) -> Iterator[Edit]:
        """The edits that count, in order."""
        for (text,) in self._db.execute("SELECT edit FROM edits WHERE undone IS NULL ORDER BY seq"):
            yield edit_records.parse(json.loads(text))

    def _each(self, query: Query, action: str, why: str, make: _Make) -> Batch:
        """One edit for each row of a query that has something to change."""
        if not query:
            raise DataError(
                "no rows are chosen", hint="Choose a finding, a status, a text or rows; --all means all.", where=action
            )
        made: list[Edit] = []
        unchanged = 0
        for row in self.rows(query):
            edit = make(row)
            if edit is None:
                unchanged += 1
            else:
                made.append(edit)
        return self._do(action, made, why, unchanged)

    def _do(self, action: str, made: list[Edit], why: str, unchanged: int = 0) -> Batch:
        """Keep edits as one batch and settle the rows they touch."""
        if not made:
            return Batch(0, 0, action, unchanged)
        now, who = round(time.time(), 3), _user()
        with self._writing():
            (last,) = self._db.execute("SELECT COALESCE(MAX(batch), 0) FROM edits").fetchone()
            touched: set[str] = set()
            for edit in made:
                signed = edit.model_copy(update={"who": edit.who or who, "when": edit.when or now, "why": edit.why or why})
                line = json.dumps(edit_records.as_line(signed), ensure_ascii=False)
                cursor = self._db.execute("INSERT INTO edits (batch, edit) VALUES (?, ?)", (last + 1, line))
                names = rows_of(signed)
                self._db.executemany(
                    "INSERT OR IGNORE INTO touched VALUES (?, ?)", ((name, cursor.lastrowid) for name in names)
                )
                touched.update(names)
            self._settle(sorted(touched))
        return Batch(last + 1, len(made), action, unchanged)

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
            self._db.execute("UPDATE rows SET status = ?, edited = ? WHERE id = ?", (status, changed, name))

    def _known(self, name: str, where: str) -> DeskRow:
        try:
            return self.row(name)
        except DataError as problem:
            raise DataError(problem.message, hint=problem.hint, where=where) from None

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


def open_desk(item: DatasetVersion, reporter: Reporter | None = None) -> Desk:
    """The desk of a version; its rows are read and checked where that was not done yet. Raises DataError, Stopped."""
    desk = Desk(item)
    try:
        if not desk.ready:
            desk.build(reporter)
    except BaseException:
        desk.close()
        raise
    return desk


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


def _signed(number: int) -> int:
    """A hash as SQLite's integers hold it."""
    return number - (1 << 64) if number >= 1 << 63 else number


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return ""
