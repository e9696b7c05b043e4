"""Small records of a run folder."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from studio.core.records import Record
from studio.data.collected import CollectedRows
from studio.data.made_rows import MadeRows
from studio.processes.identity import ProcessId, process_of


class Launch(Record):
    """launch.json: where, when and by whom a run was made."""

    label: ClassVar[str] = "launch record"
    remedy: ClassVar[str] = "Set it aside: studio doctor --repair"

    folder: Path | None = None
    """The folder it was started from, which its relative paths begin at."""
    created: float | None = None
    """Seconds since 1970."""
    name: str = ""
    who: str = ""
    """The user's name; empty where the system has none."""
    maker: Annotated[ProcessId | None, BeforeValidator(process_of)] = None
    """The process that made the folder."""
    environment: dict[str, str] | None = None
    """What the run's processes take over from it: settings of libraries by name, never a secret."""
    secrets: dict[str, str] | None = None
    """Which secrets whoever asked for it had: names, each with a mark that tells it from another (`environment.marks`)."""


class Notes(Record):
    """notes.json: what a person wrote about a run afterwards."""

    label: ClassVar[str] = "note"
    remedy: ClassVar[str] = "Set it aside: studio doctor --repair"

    note: str = ""
    tags: tuple[str, ...] = ()


class _Verdict(Record, extra="ignore"):
    text: str


class EvidenceHeadline(Record):
    """The verdict alone of evaluation/report.json, for lists, which read many."""

    label: ClassVar[str] = "evidence report"
    remedy: ClassVar[str] = "Make it again: studio eval RUN."

    verdict: _Verdict


class LockedModel(Record):
    """The base model of a run."""

    name: str
    revision: str | None = None
    folder: str | None = None
    """Where it lay."""
    files: dict[str, str] = Field(default_factory=dict)
    """Hashes of its small files; names and sizes of its weights."""


class LockedDevice(Record):
    """What a run was planned for."""

    kind: str = ""
    name: str = ""
    driver: str = ""
    capability: tuple[int, ...] = ()
    cores: int = 0


class RunLock(Record):
    """lock.json: what makes a run repeatable."""

    label: ClassVar[str] = "lock"
    remedy: ClassVar[str] = "Set it aside: studio doctor --repair"

    fingerprint: str
    """Of the settings that change the result."""
    seed: int
    day: date | None = None
    """What a chat template writes that writes the date; None before it was locked."""
    data: dict[str, str] = Field(default_factory=dict)
    """A hash of the content of each file and dataset version; empty for one that is not there."""
    made: dict[str, MadeRows] = Field(default_factory=dict)
    """Of datasets whose rows a model wrote: which one, from what, on what terms."""
    collected: dict[str, CollectedRows] = Field(default_factory=dict)
    """Of datasets with rows that people made by rating and correcting answers: which and of what models."""
    model: LockedModel
    start: str | None = None
    """A hash of the adapter that is trained further."""
    packages: dict[str, str] = Field(default_factory=dict)
    python: str = ""
    device: LockedDevice = LockedDevice()
    git: str | None = None
    """The commit of the folder it was planned in."""


def day_of(file: Path) -> date:
    """The day that a run's chat template writes: the one on which it was planned, today before that. file: its lock."""
    return (RunLock.read(file).day if file.exists() else None) or date.today()


def origins_in(file: Path) -> list[str]:
    """Where the rows of a run come from that a model wrote, with the teachers' terms, or that people made of answers, in
    sentences. file: its lock."""
    if not file.exists():
        return []
    lock, found = RunLock.read(file), list[str]()
    for made in lock.made.values():
        found += [made.sentence, made.terms_sentence]
    found += [rows.sentence for rows in lock.collected.values()]
    return list(dict.fromkeys(found))  # a job's training rows and its held-out rows have the same
