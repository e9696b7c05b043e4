"""Use cases of runs: create, start, find, list, resume, delete. What a notebook does with one is `notebook.Run`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studio.app import data_sources, run_summary
from studio.app.run_summary import RunSummary
from studio.core import people
from studio.core.errors import DAMAGED, JobError, StudioError
from studio.core.events import Event
from studio.core.files import bytes_in, studio_home
from studio.core.metrics import MetricsPoint
from studio.runs import folder as folders
from studio.runs import lifecycle, pace
from studio.runs import status as statuses
from studio.runs.folder import RunFolder
from studio.runs.plan import PlanRecord
from studio.runs.records import Launch, RunLock
from studio.runs.status import Status
from studio.spec import RunSpec

if TYPE_CHECKING:
    from studio.evaluation.report import Report
    from studio.evaluation.standard import StandardReport


@dataclass(frozen=True, repr=False)
class Run:
    """A run: its folder on disk, read anew at every question. Two of them for one folder always agree."""

    folder: RunFolder

    @property
    def id(self) -> str:
        """The run's id."""
        return self.folder.id

    @property
    def status(self) -> Status:
        """State, progress and error, as of now."""
        return statuses.read(self.folder)

    @property
    def spec(self) -> RunSpec:
        """The spec: resolved once the plan is made, before that as asked."""
        return self.folder.spec()

    @property
    def title(self) -> str:
        """The run's name, for lists; of a run whose spec is damaged, its id without the digits at its end."""
        try:
            return self.spec.name
        except DAMAGED:
            return self.id.rpartition("-")[0]

    @property
    def base_model(self) -> str:
        """The base model's name, for lists; empty where the run's spec is damaged."""
        try:
            return self.spec.model.name
        except DAMAGED:
            return ""

    @property
    def is_reward_model(self) -> bool:
        """Whether the run trains a reward model, which scores answers and gives none. A damaged spec does not say so."""
        try:
            return self.spec.training.method.scores
        except DAMAGED:
            return False

    @property
    def plan(self) -> PlanRecord | None:
        """The decisions with their reasons, and the prediction; None while there is none. Raises RecordError."""
        return PlanRecord.read(self.folder.plan) if self.folder.plan.exists() else None

    @property
    def metrics(self) -> list[MetricsPoint]:
        """The logged steps."""
        return list(self.folder.read_metrics())

    @property
    def events(self) -> list[Event]:
        """What happened, in order."""
        return list(self.folder.read_events())

    @property
    def report(self) -> Report:
        """The evidence. Raises JobError while there is none."""
        from studio.evaluation.report import Report

        if not self.folder.report.exists():
            raise JobError(
                f"this run has no report yet; it is {self.status.state}", hint="Wait for it, or see its error.", where=self.id
            )
        return Report.read(self.folder.report)

    @property
    def standard(self) -> StandardReport | None:
        """Standard benchmarks; None before any was measured."""
        from studio.evaluation.standard import StandardReport

        return StandardReport.read(self.folder.standard) if self.folder.standard.exists() else None

    @property
    def error(self) -> StudioError | None:
        """Why it failed, or None."""
        record = self.status.error
        return record.error() if record else None

    @property
    def seconds_left(self) -> tuple[float, float] | None:
        """How long training will still take, from and to, by its recent steps; None while that is not known."""
        now = self.status
        if now.state != "training" or now.what != "step":
            return None
        return pace.seconds_left(self.metrics, now.total, now.process_started or 0.0)

    def wait(self, seconds: float | None = None) -> Status:
        """Wait until it has ended, or so long."""
        return lifecycle.wait_for_end(self.folder, seconds or float("inf"))

    def request_stop(self) -> None:
        """Ask it to save a checkpoint and stop; returns at once. Raises JobError if it is not running."""
        lifecycle.request_stop(self.folder)

    def stop(self) -> Status:
        """Save a checkpoint and stop."""
        return lifecycle.stop(self.folder)

    def summary(self) -> RunSummary:
        """The run in one line. Never fails: a run with a damaged file says which one it is."""
        try:
            return run_summary.of(self.folder)
        except DAMAGED as problem:
            return run_summary.damaged(self.folder, problem)

    def __repr__(self) -> str:
        row = self.summary()
        return f"<Run {self.id}: {row.state}, {row.model or 'model not known'}>"


def create(spec: RunSpec, home: str | Path | None = None) -> Run:
    """A new run, not started yet, of the dataset versions that its names stand for now. Raises DataError at once for files
    and versions that are not there."""
    spec = data_sources.pinned(spec, home)
    data_sources.need_files(spec, home)
    return Run(folders.create(spec, studio_home(home)))


def start(spec: RunSpec, home: str | Path | None = None) -> Run:
    """Start a run and return at once; it goes on whatever happens to the caller."""
    run = create(spec, home)
    lifecycle.launch(run.folder)
    return run


def find(name: str | Path, home: str | Path | None = None) -> Run:
    """The run of that id, the newest whose id begins so, or `last`. Raises JobError."""
    return Run(folders.find(name, studio_home(home)))


def list_runs(home: str | Path | None = None) -> list[Run]:
    """All runs, newest first."""
    return [Run(folder) for folder in folders.all_runs(studio_home(home))]


def resume(run: Run) -> None:
    """Go on from the last checkpoint, in a process of its own; returns at once. Raises JobError for a run that is done or
    running."""
    lifecycle.resume(run.folder)


def delete(run: Run) -> int:
    """Remove a run; the bytes that were freed. Raises NotAllowed for somebody else's, who is no owner."""
    people.require_own(made_by(run.folder), "delete this run")
    freed = bytes_in(run.folder.path)
    lifecycle.delete(run.folder)
    return freed


def made_by(folder: RunFolder) -> str:
    """The name of whoever made a run; empty if its record does not say, or cannot be read."""
    try:
        return Launch.read(folder.launch).who
    except (OSError, StudioError):
        return ""


def changes_since(spec_file: Path) -> list[str]:
    """What differs now from when the run that `spec_file` belongs to was locked: data, versions, hardware."""
    lock = spec_file.parent / "lock.json"
    if spec_file.name != "spec.yaml" or not lock.exists():
        return []
    from studio import planner

    return planner.changes_since(RunLock.read(lock), spec_file.parent.parent.parent)
