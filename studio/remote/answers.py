"""The cache of answers that were paid for: by content, on the disk before anybody sees them, shared by all of a home.

`<home>/answers.sqlite` holds answers by the hash of what was asked, and how each model at each host wants to be asked. It
holds no API key and no prompt.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

from studio.core.records import RecordError
from studio.remote.completion import Completion
from studio.remote.dialect import Dialect

FILE = "answers.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, host TEXT NOT NULL, model TEXT NOT NULL, at REAL NOT NULL, cost REAL NOT NULL, answer TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS dialects (host TEXT NOT NULL, model TEXT NOT NULL, dialect TEXT NOT NULL, PRIMARY KEY (host, model));
"""


class Answers:
    """The answers of a home. Safe to use from several threads, and by several processes at once."""

    def __init__(self, file: Path) -> None:
        """Open the cache, and make it if it is missing. Raises RecordError for a file that is damaged."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(file, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")  # an answer was paid for: it is worth waiting for the disk
            self._db.executescript(_SCHEMA)
        except sqlite3.OperationalError:
            self._db.close()
            raise
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise RecordError(
                f"the answers cache is damaged: {error}",
                hint="Move the file away. Answers that are needed again will be paid again.",
                where=str(file),
            ) from None
        with suppress(OSError):
            file.chmod(0o600)

    def get(self, key: str) -> Completion | None:
        """The answer to what has this key, marked as cached."""
        with self._lock:
            row = self._db.execute("SELECT answer FROM answers WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        with suppress(RecordError):  # of a newer release: asked again
            return Completion.from_json(json.loads(row[0]), "answers.sqlite").model_copy(update={"cached": True})
        return None

    def put(self, key: str, host: str, model: str, completion: Completion) -> None:
        """Keep an answer; it is on the disk when this returns."""
        values = (key, host, model, time.time(), completion.cost, json.dumps(completion.as_json(), ensure_ascii=False))
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", values)

    def count(self) -> int:
        """How many answers there are."""
        with self._lock:
            return int(self._db.execute("SELECT COUNT(*) FROM answers").fetchone()[0])

    def dialect(self, host: str, model: str) -> Dialect:
        """How a model at a host wants to be asked, as far as is known."""
        with self._lock:
            row = self._db.execute("SELECT dialect FROM dialects WHERE host = ? AND model = ?", (host, model)).fetchone()
        if row is not None:
            with suppress(RecordError):
                return Dialect.from_json(json.loads(row[0]), "answers.sqlite")
        return Dialect()

    def remember(self, host: str, model: str, dialect: Dialect) -> None:
        """Keep how a model at a host wants to be asked."""
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO dialects VALUES (?, ?, ?)", (host, model, json.dumps(dialect.as_json())))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def hosts_asked(file: Path) -> list[str]:
    """The hosts whose answers are kept in a cache, in alphabetical order; none where there is no cache, or a damaged one."""
    if not file.exists():
        return []
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", timeout=5, uri=True)) as db:
        return [str(host) for (host,) in db.execute("SELECT DISTINCT host FROM answers ORDER BY host")]
    return []
