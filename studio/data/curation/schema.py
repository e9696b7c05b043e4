"""The desk's SQLite file: its tables, and opening it so that what was written survives a crash."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from studio.core.errors import DataError, HardwareError

FILE = "desk.db"
LAYOUT = 3
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS flags (check_name TEXT, number INTEGER, PRIMARY KEY (check_name, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_number ON flags (number);
CREATE TABLE IF NOT EXISTS findings (check_name TEXT PRIMARY KEY, finding TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS scores (number INTEGER PRIMARY KEY, asked REAL NOT NULL, bare REAL);
CREATE TABLE IF NOT EXISTS edits (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, batch INTEGER NOT NULL, edit TEXT NOT NULL, undone REAL
);
CREATE TABLE IF NOT EXISTS touched (row TEXT, seq INTEGER, PRIMARY KEY (row, seq)) WITHOUT ROWID;
"""
ROWS = (
    "DROP TABLE IF EXISTS rows",
    """CREATE TABLE rows (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, file TEXT NOT NULL, line INTEGER NOT NULL, prompt INTEGER NOT NULL,
        content BLOB NOT NULL, status TEXT NOT NULL, base_status TEXT NOT NULL, said TEXT NOT NULL, edited BLOB
    )""",
    "CREATE INDEX by_status ON rows (status)",
    "CREATE INDEX by_prompt ON rows (prompt)",
)
"""The rows, made anew whenever they are read. said: all words of a row as it is now, in lower case, for the search."""


def connect(file: Path) -> sqlite3.Connection:
    """The open file, with its tables. Raises HardwareError where it cannot be written, DataError where it is damaged."""
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
    return db
