"""The queue: runs that wait for the device, in an order anyone may change. One SQLite file (WAL) per home.

It holds only what the run folders do not: the order, and who asked. A run's state is always read from its folder.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from studio.core import events
from studio.core.errors import JobError
from studio.core.files import make_home, read_json
from studio.processes import locks
from studio.runs import folder as folders
from studio.runs.folder import RunFolder

SCHEMA = """
CREATE TABLE IF NOT EXISTS waiting (
    run TEXT PRIMARY KEY,
    place REAL NOT NULL,
    added REAL NOT NULL,
    who TEXT NOT NULL DEFAULT ''
)
"""


@dataclass(frozen=True)
class Waiting:
    """A run in the queue."""

    run: str
    position: int
    """1 is next."""
    added: float
    who: str


def add(root: Path, run: str, who: str = "") -> int:
    """Put a run at the end; its position. A run that waits already keeps its place."""
    with _open(root) as db:
        db.execute(
            "INSERT OR IGNORE INTO waiting SELECT ?, COALESCE(MAX(place), 0) + 1, ?, ? FROM waiting", (run, time.time(), who)
        )
        return _position(db, run)


def waiting(root: Path) -> list[Waiting]:
    """The queue in order."""
    if not (root / "queue.db").exists():
        return []
    with _open(root) as db:
        rows = db.execute("SELECT run, added, who FROM waiting ORDER BY place").fetchall()
    return [Waiting(run, position, added, who) for position, (run, added, who) in enumerate(rows, 1)]


def waits(root: Path, run: str) -> bool:
    """Whether a run is in the queue; a look that locks nothing."""
    file = root / "queue.db"
    if not file.exists():
        return False
    db = sqlite3.connect(f"{file.as_uri()}?mode=ro", timeout=30, uri=True)
    try:
        return db.execute("SELECT 1 FROM waiting WHERE run = ?", (run,)).fetchone() is not None
    except sqlite3.OperationalError:  # made a moment ago, its table not yet
        return True
    except sqlite3.DatabaseError:  # damaged: whoever opens it next makes it again
        return _put_in(RunFolder(root / "runs" / run)) is not None
    finally:
        db.close()


def is_damaged(root: Path) -> bool:
    """Whether there is a queue that cannot be read; whoever opens it next makes it again from the run folders."""
    file = root / "queue.db"
    if not file.exists():
        return False
    db = sqlite3.connect(f"{file.as_uri()}?mode=ro", timeout=30, uri=True)
    try:
        db.execute("SELECT run, place, added, who FROM waiting ORDER BY place").fetchall()
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True
    finally:
        db.close()
    return False


def mend(root: Path) -> list[Path]:
    """Make a damaged queue again from the run folders; the files it was, set aside."""
    before = set(root.glob("queue.damaged-*"))
    waiting(root)
    return sorted(set(root.glob("queue.damaged-*")) - before)


def move(root: Path, run: str, position: int) -> None:
    """Move a waiting run to a position (1 is next). Raises JobError if it does not wait."""
    with _open(root) as db:
        _position(db, run)
        others = [name for (name,) in db.execute("SELECT run FROM waiting WHERE run != ? ORDER BY place", (run,))]
        others.insert(max(0, position - 1), run)
        db.executemany("UPDATE waiting SET place = ? WHERE run = ?", [(place, name) for place, name in enumerate(others, 1)])


@contextmanager
def leaving(root: Path, run: str) -> Generator[None]:
    """Take a run out of the queue once the block is through; its folder stays. Raises JobError if it does not wait.

    All in one transaction: whoever is killed within the block leaves the run waiting, and nobody moves or cancels it meanwhile.
    """
    with _open(root) as db:
        _position(db, run)
        yield
        db.execute("DELETE FROM waiting WHERE run = ?", (run,))


@contextmanager
def next_leaving(root: Path) -> Generator[str | None]:
    """As `leaving`, for the next run, or None if none waits. No two callers ever get the same one."""
    if not (root / "queue.db").exists():
        yield None
        return
    with _open(root) as db:
        row = db.execute("SELECT run FROM waiting ORDER BY place LIMIT 1").fetchone()
        yield row[0] if row else None
        if row:
            db.execute("DELETE FROM waiting WHERE run = ?", row)


def _position(db: sqlite3.Connection, run: str) -> int:
    row = db.execute(
        "SELECT (SELECT COUNT(*) FROM waiting AS b WHERE b.place <= a.place) FROM waiting AS a WHERE run = ?", (run,)
    ).fetchone()
    if row is None:
        raise JobError("this run does not wait in the queue", hint="studio runs list shows its state.", where=run)
    return int(row[0])


@contextmanager
def _open(root: Path) -> Generator[sqlite3.Connection]:
    make_home(root)
    try:
        db = _connect(root)
    except sqlite3.OperationalError:  # locked, full, not writable: the file itself is sound
        raise
    except sqlite3.DatabaseError:
        db = _rebuild(root)
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")
    finally:
        db.close()


def _connect(root: Path) -> sqlite3.Connection:
    db = sqlite3.connect(root / "queue.db", timeout=30, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(SCHEMA)
        db.execute(
            "SELECT run, place, added, who FROM waiting ORDER BY place"
        ).fetchall()  # every page that is used is read once
    except BaseException:
        db.close()
        raise
    return db


def _rebuild(root: Path) -> sqlite3.Connection:
    """Set a damaged queue aside and make it again from the run folders: those that were queued and never started, in order."""
    with locks.hold(root / "locks" / "queue.lock", locks.within(30)):
        try:
            return _connect(root)  # another process was quicker
        except sqlite3.DatabaseError:
            aside = f"queue.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.replace(root / f"queue.db{ending}", root / f"{aside}{ending}")
        db = _connect(root)
        rows = [(folder.id, place, added, who) for place, (added, folder, who) in enumerate(_queued(root), 1)]
        db.executemany("INSERT OR IGNORE INTO waiting VALUES (?, ?, ?, ?)", rows)
        return db


def _queued(root: Path) -> list[tuple[float, RunFolder, str]]:
    found: list[tuple[float, RunFolder, str]] = []
    for folder in folders.all_runs(root):
        if folder.status.exists() and not _only_queued(folder):
            continue
        with suppress(OSError):
            if said := _put_in(folder):
                found.append((said.time or 0.0, folder, said.who))
    return sorted(found, key=lambda item: item[0])


def _put_in(folder: RunFolder) -> events.Queued | None:
    """What put the run into the queue, if it has neither begun nor ended since: a run that is done is not run again."""
    said: events.Queued | None = None
    for event in folder.read_events():
        if isinstance(event, events.Queued):
            said = event
        elif isinstance(event, events.Stage | events.Ended):
            said = None
    return said


def _only_queued(folder: RunFolder) -> bool:
    """Whether a launch of the run was cut off before there was a process."""
    with suppress(OSError, ValueError, AttributeError):
        values = read_json(folder.status)
        return values.get("state") == "queued" and not values.get("process") and not locks.is_held(folder.launch)
    return False
