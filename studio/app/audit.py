"""The audit log: who did what, when, from where, and how it ended. No data, no texts, no secrets; lines are only ever added."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

from studio.core.journal import Journal, of_home
from studio.core.people import Person
from studio.core.records import Record, RecordError

Outcome = Literal["done", "refused", "failed"]
_NAME = re.compile(r"[\w./:@+ -]{1,120}")


class Entry(Record):
    """One line of the audit log."""

    label: ClassVar[str] = "audit log"

    time: float | None = None
    who: str = ""
    role: str = ""
    action: str = ""
    about: str = ""
    outcome: str = ""
    address: str = ""
    why: str = ""


def log(home: Path) -> Journal:
    """The audit log of a home: `<home>/logs/audit.jsonl`."""
    return of_home(home, "audit", keep=20)


def record(
    home: Path,
    person: Person | str,
    action: str,
    about: object = "",
    outcome: Outcome = "done",
    address: str = "",
    why: str = "",
) -> None:
    """Append what somebody did. about: the run, dataset or other thing by its name; what is no name is left out.

    person: as a string, the name that somebody gave who is not signed in. why: the kind of error, never its text.
    """
    who = person.name or "owner" if isinstance(person, Person) else _named(person)
    role = str(person.role) if isinstance(person, Person) else ""
    entry = Entry(who=who, role=role, action=action, about=_named(about), outcome=outcome, address=address, why=why)
    log(home).write({name: value for name, value in entry.as_line().items() if value})


def read(home: Path, most: int = 200) -> list[Entry]:
    """The newest entries, the newest first; a line that is damaged is left out."""
    entries: list[Entry] = []
    for line in reversed(log(home).read(most)):
        with contextlib.suppress(RecordError):
            entries.append(Entry.from_json(line))
    return entries


def _named(about: object) -> str:
    """What may stand in the log: a plain name. Anything else may be data."""
    from studio.tracking import secrets

    if isinstance(about, list | tuple):
        several = list(cast("tuple[Any, ...]", about))
        return ", ".join(name for item in several[:8] if (name := _named(item)))
    text = str(about or "").strip()
    return text if _NAME.fullmatch(text) and secrets.redact(text) == text else ""
