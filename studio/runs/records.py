"""Small records of a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from studio.core.records import Record
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
