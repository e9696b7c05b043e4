"""The feedback of a home, in one SQLite file that is on the disk when a call returns. Answers nobody rated leave by age when
there are very many; what people said stays until it is deleted."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from studio.core.errors import DataError, HardwareError
from studio.core.files import make_home
from studio.core.records import RecordError
from studio.core.text import plural
from studio.data.curation.masking import Tokens
from studio.feedback.masking import mask
from studio.feedback.records import CollectedAnswer, Opinion

FILE = "feedback.sqlite"
MOST = 100_000
"""Unrated answers that are kept; the oldest leave first."""
State: TypeAlias = Literal["", "unrated", "rated", "good", "bad", "corrected", "flagged"]
_STATES: dict[str, str] = {
    "unrated": "NOT rated", "rated": "rated", "good": "rating = 'good'", "bad": "rating = 'bad'", "corrected": "corrected",
    "flagged": "flagged",
}  # fmt: skip
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, at REAL NOT NULL, origin TEXT NOT NULL,
    model TEXT NOT NULL, run TEXT NOT NULL, rated INTEGER NOT NULL, rating TEXT NOT NULL, corrected INTEGER NOT NULL,
    flagged INTEGER NOT NULL, used INTEGER NOT NULL, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_rated ON answers (rated, number);
"""
_COLUMNS = ("key", "at", "origin", "model", "run", "rated", "rating", "corrected", "flagged", "used", "record")


@dataclass(frozen=True)
class Query:
    """Which answers: all conditions that are given hold."""

    state: State = ""
    origin: str = ""
    model: str = ""
    run: str = ""
    unused: bool = False
    """Only those that are in no dataset yet."""


class Feedback:
    """The open store. Safe to use from several threads, and by several processes at once."""

    def __init__(self, home: Path, most: int = MOST) -> None:
        """Open the store of a home, and make it if it is missing. Raises RecordError for a file that is damaged."""
        make_home(home)
        file = home / FILE
        self._most, self._lock = most, threading.Lock()
        try:
            self._db = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            raise HardwareError(
                f"the feedback cannot be opened: {error}", hint="Check disk space and permissions.", where=str(file)
            ) from None
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise RecordError(
                f"the feedback is damaged: {error}", hint="Restore it from a backup, or move the file away.", where=str(file)
            ) from None
        with suppress(OSError):
            file.chmod(0o600)  # conversations: for nobody else on this machine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def add(self, item: CollectedAnswer, regions: Sequence[str] = (), tokens: Tokens | None = None) -> CollectedAnswer:
        """Keep an answer, its personal data masked; one with the same key is returned as it is kept."""
        item = mask(item, regions, tokens).model_copy(update={"at": item.at or time.time()})
        with self._lock:
            self._db.execute(
                f"INSERT OR IGNORE INTO answers ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})",
                _values(item),
            )
            (number,) = self._db.execute("SELECT number FROM answers WHERE key = ?", (item.key,)).fetchone()
            self._db.execute(
                "DELETE FROM answers WHERE NOT rated AND number <= "
                "(SELECT number FROM answers WHERE NOT rated ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (self._most,),
            )
        return self.get(number)

    def say(
        self, name: str | int, opinion: Opinion, by: str = "", regions: Sequence[str] = (), tokens: Tokens | None = None
    ) -> CollectedAnswer:
        """Keep what a person says of an answer, by its number or key. Raises DataError if it is not there."""
        opinion = opinion.checked()
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                before = self._find(name)
                item = mask(before.with_opinion(opinion, by, time.time()), regions, tokens)
                changes = ", ".join(f"{column} = ?" for column in _COLUMNS)
                self._db.execute(f"UPDATE answers SET {changes} WHERE number = ?", (*_values(item), item.number))
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        return item

    def used(self, numbers: Sequence[int], into: str, dataset: str) -> None:
        """Note the dataset that rows, labels or pairs of answers were put into."""
        for number in numbers:
            with self._lock:
                item = self._find(number)
                item = item.model_copy(update={"datasets": {**item.datasets, into: dataset}})
                self._db.execute("UPDATE answers SET used = 1, record = ? WHERE number = ?", (_json(item), number))

    def get(self, name: str | int) -> CollectedAnswer:
        """One answer, by its number or key. Raises DataError."""
        with self._lock:
            return self._find(name)

    def find(self, query: Query | None = None, start: int = 0, most: int = -1) -> Iterator[CollectedAnswer]:
        """The answers of a query, the newest first."""
        where, values = _where(query or Query())
        with self._lock:
            found = self._db.execute(
                f"SELECT number, record FROM answers {where} ORDER BY number DESC LIMIT ? OFFSET ?", (*values, most, start)
            ).fetchall()
        for number, record in found:
            yield _record(number, record)

    def count(self, query: Query | None = None) -> int:
        """How many answers a query has."""
        where, values = _where(query or Query())
        with self._lock:
            return int(self._db.execute(f"SELECT COUNT(*) FROM answers {where}", values).fetchone()[0])

    def models(self) -> list[str]:
        """The models whose answers there are."""
        with self._lock:
            return [name for (name,) in self._db.execute("SELECT DISTINCT model FROM answers ORDER BY model")]

    def delete(self, names: Sequence[str | int]) -> int:
        """Delete answers by number or key; rows that were made of them stay in their datasets. Raises DataError for one that is
        not there, and deletes none then."""
        with self._lock:
            numbers = [self._find(name).number for name in names]
            self._db.executemany("DELETE FROM answers WHERE number = ?", ((number,) for number in numbers))
        return len(numbers)

    def delete_before(self, at: float, query: Query | None = None) -> int:
        """Delete the answers of a query that were given before a time, in seconds since the epoch; how many."""
        where, values = _where(query or Query())
        with self._lock:
            done = self._db.execute(f"DELETE FROM answers {where} {'AND' if where else 'WHERE'} at < ?", (*values, at))
            return done.rowcount

    def _find(self, name: str | int) -> CollectedAnswer:
        text = str(name).lstrip("#")
        column, value = ("number", int(text)) if text.isascii() and text.isdigit() and len(text) < 16 else ("key", text)
        row = self._db.execute(f"SELECT number, record FROM answers WHERE {column} = ?", (value,)).fetchone()
        if row is None:
            (count,) = self._db.execute("SELECT COUNT(*) FROM answers").fetchone()
            raise DataError(
                f"there is no collected answer `{text[:80]}`",
                hint=f"There are {plural(count, 'answer')}: studio feedback list.",
                where="feedback",
            )
        return _record(*row)


def _where(query: Query) -> tuple[str, list[Any]]:
    conditions = [_STATES[query.state]] if query.state else []
    values = []
    for column in ("origin", "model", "run"):
        if value := getattr(query, column):
            conditions.append(f"{column} = ?")
            values.append(value)
    if query.unused:
        conditions.append("NOT used")
    return (f"WHERE {' AND '.join(conditions)}" if conditions else ""), values


def _values(item: CollectedAnswer) -> tuple[Any, ...]:
    return (
        item.key, item.at, item.origin, item.model, item.run, item.rated, item.rating, bool(item.correction), bool(item.flag),
        bool(item.datasets), _json(item),
    )  # fmt: skip


def _json(item: CollectedAnswer) -> str:
    return json.dumps(item.as_line(), ensure_ascii=False)


def _record(number: int, record: str) -> CollectedAnswer:
    return CollectedAnswer.from_json(json.loads(record), where=FILE).model_copy(update={"number": number})
