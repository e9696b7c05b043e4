"""A ceiling on cost that cannot be exceeded: what a request may cost at most is reserved before it is sent.

A request whose reservation does not fit waits for those of others to be settled, which mostly cost less than reserved. It is
refused only if it would not fit even then. With a ledger file this holds across processes, and after any of them was killed:
a reservation of a process that is gone counts as spent in full, since its request may have been billed.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import SpecError, Stopped, StudioError
from studio.core.text import dollars
from studio.processes.identity import ProcessId

_UNIT = 1e9
"""Parts of a dollar that are counted, so that sums are exact."""
_PAUSE = 0.05
"""Seconds between two looks at reservations of other processes."""
_SCHEMA = """CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, reserved INTEGER NOT NULL, cost INTEGER, lost INTEGER NOT NULL DEFAULT 0, process TEXT NOT NULL)"""


class CeilingReached(StudioError):
    """The next request could cost more than is left."""


@dataclass(frozen=True)
class Spending:
    """US dollars: spent, of which lost is what is assumed for requests that were sent and whose answer never came."""

    spent: float
    reserved: float
    lost: float


class Reservation:
    """What a request may cost, set aside. It is settled or released exactly once."""

    def __init__(self, ceiling: Ceiling, entry: int) -> None:
        self._ceiling, self._entry = ceiling, entry

    def settle(self, cost: float) -> None:
        """The request cost so many dollars."""
        self._ceiling._close(self._entry, "UPDATE entries SET cost = ? WHERE id = ?", _units(cost))

    def lose(self) -> None:
        """The request was sent and nothing came back: it counts in full."""
        self._ceiling._close(self._entry, "UPDATE entries SET cost = reserved, lost = ? WHERE id = ?", 1)

    def release(self) -> None:
        """The request was not billed."""
        self._ceiling._close(self._entry, "DELETE FROM entries WHERE ? AND id = ?", 1)


class Ceiling:
    """At most `usd` dollars, over everything that is entered in `ledger`; without a ledger over this object's life."""

    def __init__(self, usd: float, ledger: Path | None = None) -> None:
        """Raises SpecError for a ceiling that is not a positive amount."""
        self.usd = positive(usd)
        self._most = math.floor(usd * _UNIT)
        self._me = str(ProcessId.current())
        self._changed = threading.Condition()
        if ledger is not None:
            ledger.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(ledger or ":memory:", timeout=30, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(_SCHEMA)

    @property
    def spending(self) -> Spending:
        """What is spent and reserved now."""
        with self._changed, self._transaction():
            return self._sums()

    @property
    def left(self) -> float:
        """US dollars that are neither spent nor reserved."""
        now = self.spending
        return max(0.0, self.usd - now.spent - now.reserved)

    def reserve(self, usd: float, stopped: Callable[[], bool] = lambda: False) -> Reservation:
        """Set aside what a request may cost, waiting for other reservations where it must.

        Raises CeilingReached if it would not fit even when all of them cost nothing; Stopped if stopped() says so meanwhile.
        """
        units = _units(usd)
        with self._changed:
            while True:
                with self._transaction():
                    now = self._sums()
                    spent, reserved = _units(now.spent), _units(now.reserved)
                    if spent + reserved + units <= self._most:
                        row = self._db.execute("INSERT INTO entries (reserved, process) VALUES (?, ?)", (units, self._me))
                        return Reservation(self, int(row.lastrowid or 0))
                if spent + units > self._most:
                    raise CeilingReached(
                        f"the ceiling of {dollars(self.usd)} is reached: {dollars(now.spent)} spent, and the next request may "
                        f"cost up to {dollars(usd)}",
                        hint="Raise the ceiling and resume: answers already paid for are not paid again.",
                        where="ceiling",
                    )
                if stopped():
                    raise Stopped
                self._changed.wait(_PAUSE)

    def close(self) -> None:
        """Close the ledger."""
        self._db.close()

    def _close(self, entry: int, statement: str, value: int) -> None:
        with self._changed:
            self._db.execute(statement, (value, entry))
            self._changed.notify_all()

    def _sums(self) -> Spending:
        """Sums of the ledger, once the reservations of processes that are gone are counted as lost."""
        others = self._db.execute("SELECT DISTINCT process FROM entries WHERE cost IS NULL AND process != ?", (self._me,))
        for (process,) in others.fetchall():
            if not ProcessId.parse(process).alive():
                self._db.execute("UPDATE entries SET cost = reserved, lost = 1 WHERE cost IS NULL AND process = ?", (process,))
        spent, reserved, lost = self._db.execute(
            "SELECT COALESCE(SUM(cost), 0), COALESCE(SUM(CASE WHEN cost IS NULL THEN reserved END), 0), "
            "COALESCE(SUM(CASE WHEN lost THEN cost END), 0) FROM entries"
        ).fetchone()
        return Spending(spent / _UNIT, reserved / _UNIT, lost / _UNIT)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def positive(usd: float) -> float:
    """A ceiling as it is. Raises SpecError if it is not a positive amount."""
    if not (math.isfinite(usd) and usd > 0):
        raise SpecError(f"expected a positive amount in US dollars, got {usd:g}", hint="Write for example 5.", where="ceiling")
    return usd


def _units(usd: float) -> int:
    """Rounded up, but for the error of binary fractions."""
    return math.ceil(round(usd * _UNIT, 3))
