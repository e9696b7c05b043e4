"""A run in one line: what lists, pages, notebooks and `--json` show of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from studio.app import curves, data_sources
from studio.core.errors import StudioError
from studio.core.records import ErrorRecord, RecordError
from studio.runs import status as statuses
from studio.runs.folder import RunFolder
from studio.runs.records import EvidenceHeadline, Launch, Notes


@dataclass(frozen=True)
class RunSummary:
    """A run in one line. A run with a damaged file says in `error` which one it is."""

    id: str
    state: str
    name: str
    model: str
    """The base model as the spec names it; empty where the spec cannot be read."""
    data: str
    step: int
    loss: float | None
    held_out_loss: float | None
    """The lowest so far."""
    verdict: str | None
    created: float | None
    """When it was made, in seconds since 1970."""
    who: str
    seconds: float | None
    """How long it ran, or has been running."""
    exports: tuple[str, ...]
    """Folders of its exports."""
    error: ErrorRecord | None
    folder: str
    active: bool = False
    started: float | None = None
    done: float = 0
    """How far it is in its present stage, of `total`."""
    total: float = 0
    note: str = ""
    tags: tuple[str, ...] = ()
    position: int | None = None
    """Where it stands in the queue; None for one that does not wait."""

    @property
    def headline(self) -> str:
        """The verdict in short: better, worse, no clear change."""
        return (self.verdict or "").partition(":")[0]

    @property
    def damaged(self) -> bool:
        """Whether one of its files cannot be read: `error` says which one, and what to do."""
        return self.error is not None and self.error.kind == RecordError.__name__

    @property
    def shown_state(self) -> str:
        """The state as lists show it: a damaged run may have ended well, and that is not what has to be known first."""
        return "damaged" if self.damaged else self.state

    @property
    def text(self) -> str:
        """All of its texts, in lower case, for a search."""
        about = (self.id, self.name, self.shown_state, self.model, self.data, self.verdict or "", self.note, self.who)
        return " ".join((*about, *self.tags)).lower()

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            **values,
            "exports": list(self.exports),
            "tags": list(self.tags),
            "error": self.error.model_dump() if self.error else None,
        }


def of(folder: RunFolder) -> RunSummary:
    """The summary of a run. Raises what reading its files raises where one is damaged."""
    now, spec = statuses.read(folder), folder.spec()
    series = curves.read(folder.metrics).series
    losses, evaluated = series.get("loss"), series.get("eval_loss")
    launch = Launch.read(folder.launch) if folder.launch.exists() else Launch()
    notes = read_notes(folder)
    return RunSummary(
        id=folder.id,
        state=now.state,
        name=spec.name,
        model=spec.model.name,
        data=data_sources.names(spec),
        step=int(losses.steps[-1]) if losses else 0,
        loss=losses.values[-1] if losses else None,
        held_out_loss=min(evaluated.values) if evaluated else None,
        verdict=EvidenceHeadline.read(folder.report).verdict.text if folder.report.exists() else None,
        created=launch.created,
        who=launch.who,
        seconds=round(max(0.0, (now.ended or time.time()) - now.started), 1) if now.started else None,
        exports=tuple(str(artifact.get("folder") or artifact.get("kind")) for artifact in folder.artifacts()),
        error=now.error,
        folder=str(folder.path),
        active=now.active,
        started=now.started,
        done=now.done,
        total=now.total,
        note=notes.note,
        tags=notes.tags,
    )


def damaged(folder: RunFolder, problem: Exception) -> RunSummary:
    """The summary of a run that cannot be read: which file it is and what to do."""
    known = (
        f"{problem.where}: {problem.message}" if isinstance(problem, StudioError) else f"{type(problem).__name__}: {problem}"
    )
    found = folder.damage() or known
    newer = "Update Studio, or open it with the release that wrote it. Or set" if "newer release" in found else "Set"
    error = ErrorRecord(
        kind=RecordError.__name__,
        message=f"damaged: {found}",
        hint=f"{newer} that file aside: studio doctor --repair; or remove the run: studio runs delete {folder.id}",
        where=str(folder.path),
    )
    return RunSummary(
        id=folder.id, state=statuses.read(folder).state, name=folder.id, model="", data="", step=0, loss=None,
        held_out_loss=None, verdict=None, created=None, who="", seconds=None, exports=(), error=error, folder=str(folder.path),
    )  # fmt: skip


def read_notes(folder: RunFolder) -> Notes:
    """Note and tags of a run: those written afterwards, at first those of its spec."""
    if folder.notes.exists():
        return Notes.read(folder.notes)
    tracking = folder.spec().tracking
    return Notes(note=tracking.note, tags=tuple(tracking.tags))
