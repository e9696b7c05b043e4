"""Use cases of runs: start, watch, stop, resume, compare, delete; and `Run`, what notebooks hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.app import datasets, run_summary, run_updates
from studio.app.run_summary import RunSummary
from studio.core import people
from studio.core.errors import JobError, StudioError
from studio.core.events import Event
from studio.core.files import bytes_in, studio_home
from studio.runs import folder as folders
from studio.runs import lifecycle, pace
from studio.runs import status as statuses
from studio.runs.folder import RunFolder
from studio.runs.plan import PlanRecord
from studio.runs.records import Launch, RunLock
from studio.runs.status import Status
from studio.spec import RunSpec

if TYPE_CHECKING:
    from pandas import DataFrame

    from studio.app.chat import Conversation, Messages, Sides
    from studio.app.notebook import OnUpdate
    from studio.evaluation.report import Report
    from studio.export.artifacts.manifest import Artifact
    from studio.models.loading import Loaded

DAMAGED = (StudioError, OSError, ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What reading the files of a damaged run folder raises."""


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
    def metrics(self) -> list[dict[str, Any]]:
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
    def artifacts(self) -> list[Artifact]:
        """Its exports with their verification; one whose manifest is damaged is left out."""
        from studio.app import exports

        return [item.artifact for item in exports.list_exports(self)]

    def metrics_frame(self) -> DataFrame:
        """The logged figures as a pandas DataFrame, one row a step: loss, lr, eval_loss, tokens_per_second and more."""
        import pandas

        steps: dict[int, dict[str, Any]] = {}
        for line in self.metrics:
            steps.setdefault(line["step"], {}).update(line)
        frame = pandas.DataFrame(list(steps.values()), columns=None if steps else ["step"])
        return frame.set_index("step").sort_index()

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

    def resume(self, wait: bool = True, on_update: OnUpdate | None = None) -> Run:
        """Go on from the last checkpoint, with live progress as in `studio.train`; wait=False returns at once.

        Raises JobError for a run that is done or running, and the run's error if it fails.
        """
        since = run_updates.now(self.folder)
        lifecycle.resume(self.folder)
        if not wait:
            return self
        from studio.app import notebook

        return notebook.follow(self, since, on_update)

    def watch(self, on_update: OnUpdate | None = None) -> Run:
        """Show the run live until it has ended. Interrupting leaves it alone. Raises the run's error."""
        from studio.app import notebook

        return notebook.watch(self, on_update=on_update)

    def chat(
        self,
        messages: Messages,
        *,
        system: str | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> Sides:
        """Ask base and tuned the same question, or the same conversation; the answers side by side.

        messages: a text, or messages with `role` and `content` that end with the user's. system: None takes the system
        prompt it was trained with. Raises SpecError for what are no messages, JobError without a trained adapter.
        """
        from studio.app import chat

        asked = chat.as_messages(messages)
        return chat.talker(self).ask(asked, system, max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed)

    def conversation(
        self, *, system: str | None = None, max_tokens: int = 512, temperature: float = 0.0, top_p: float = 1.0, seed: int = 0
    ) -> Conversation:
        """A conversation over several turns: `talk = run.conversation(); talk.say("hello"); talk.say("and then?")`."""
        from studio.app import chat

        return chat.Conversation(
            chat.talker(self), system, max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed
        )

    def model(self) -> Loaded:
        """The base with the trained adapter as a PEFT model, and its tokenizer, held as this run trained them:
        `model, tokenizer = run.model()`. Raises JobError without a trained adapter."""
        from studio.app import chat
        from studio.models.loading import Loaded

        talker = chat.talker(self)
        return Loaded(talker.model, talker.tokenizer)

    def export(self, kind: str, deploy: bool = False, **settings: Any) -> Artifact:
        """Make and verify an export: `run.export("gguf", quant="q4_k_m")`. deploy also writes the files that serve it on
        another machine. Raises SpecError for a wrong kind or setting, ExportError if it cannot be made."""
        from studio.app import exports

        return exports.export(self, kind, settings, deploy=deploy)

    def push(self, repository: str, target: str | None = None, public: bool = False) -> dict[str, Any]:
        """Upload a verified export to a hub repository, private by default: `run.push("me/bot", "merged")`. Returns the
        record."""
        from studio.app import exports

        return exports.upload(exports.prepare_upload(str(self.folder.path), repository, public, target)).as_json()

    def evaluate(self, also: Any = None) -> Report:
        """Evaluate again; the new report replaces the old. also: further questions, as paths, DataFrames or lists of mappings.
        Raises JobError without a trained adapter."""
        from studio.app import evidence
        from studio.data.in_memory import as_sources

        sources = [] if also is None else as_sources(also, "also")
        return evidence.evaluate(self, [sources] if isinstance(sources, str) else sources)

    def summary(self) -> RunSummary:
        """The run in one line. Never fails: a run with a damaged file says which one it is."""
        try:
            return run_summary.of(self.folder)
        except DAMAGED as problem:
            return run_summary.damaged(self.folder, problem)

    def _repr_html_(self) -> str:
        from studio.app import display

        return display.run(self)

    def __repr__(self) -> str:
        row = self.summary()
        return f"<Run {self.id}: {row.state}, {row.model or 'model not known'}>"


def create(spec: RunSpec, home: str | Path | None = None) -> Run:
    """A new run, not started yet, of the dataset versions that its names stand for now. Raises DataError at once for files
    and versions that are not there."""
    spec = datasets.pinned(spec, home)
    datasets.need_files(spec, home)
    return Run(folders.create(spec, studio_home(home)))


def start(spec: RunSpec, home: str | Path | None = None) -> Run:
    """Start a run and return at once; it goes on whatever happens to the caller."""
    run = create(spec, home)
    lifecycle.launch(run.folder)
    return run


def find(name: str | Path, home: str | Path | None = None) -> Run:
    """The run of that id, the newest whose id begins so, or `last`. Raises JobError."""
    return Run(folders.find(name, studio_home(home)))


class RunList(list[Run]):
    """Runs, newest first; a notebook shows them as a table."""

    def to_pandas(self) -> DataFrame:
        """One row a run: id, state, name, model, data, step, losses, verdict and more."""
        import pandas

        return pandas.DataFrame([run.summary().as_json() for run in self])

    def _repr_html_(self) -> str:
        from studio.app import display

        return display.run_list(self)


def list_runs(home: str | Path | None = None) -> RunList:
    """All runs, newest first."""
    return RunList(Run(folder) for folder in folders.all_runs(studio_home(home)))


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
