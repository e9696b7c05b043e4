"""Runs in a notebook or a script: `Run` and its verbs, live progress inline, without widgets.

A restarted kernel loses nothing: `studio.find`.
"""

# pyright: reportMissingTypeStubs=false
# pandas brings no types of its own.

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.app import chat, comparison, display, evidence, exports, queue, run_updates, runs, sweeps
from studio.app.comparison import Comparison
from studio.app.run_updates import Update
from studio.core import events
from studio.core.errors import StudioError
from studio.core.text import duration
from studio.spec import RunSpec, as_spec

if TYPE_CHECKING:
    from pandas import DataFrame

    from studio.app.chat import Conversation, Messages, Sides
    from studio.evaluation.report import Report
    from studio.evaluation.standard import StandardReport
    from studio.export.artifacts.manifest import Artifact
    from studio.models.loading import Loaded

OnUpdate = Callable[["Run", Update], object]
"""Called with what is new of a run, twice a second at most: status, events, metrics."""
EVERY = 0.5
"""Seconds between two looks at a run."""


@dataclass(frozen=True, repr=False)
class Run(runs.Run):
    """A run: its folder on disk, read anew at every question. Two of them for one folder always agree."""

    @property
    def artifacts(self) -> list[Artifact]:
        """Its exports with their verification; one whose manifest is damaged is left out."""
        return [item.artifact for item in exports.list_exports(self)]

    def measure_tasks(self, *tasks: str | Path, limit: int | None = None) -> StandardReport:
        """Run tasks of lm-evaluation-harness on base, tuned model and exports, paired by document.

        tasks: `own` for the held-out rows, a task's YAML file, or the name of one that comes with the harness. limit: documents
        of each. Raises ExportError if lm-eval is not installed, JobError, SpecError, EvaluationError.
        """
        from studio.app import standard_benchmarks

        return standard_benchmarks.measure(self, [str(task) for task in tasks], limit=limit)

    def metrics_frame(self) -> DataFrame:
        """The logged figures as a pandas DataFrame, one row a step: loss, lr, eval_loss, tokens_per_second and more."""
        import pandas

        steps: dict[int, dict[str, float]] = {}
        for line in self.metrics:
            steps.setdefault(line.step, {}).update(line)
        frame: Any = pandas.DataFrame(list(steps.values()), columns=None if steps else ["step"])
        return frame.set_index("step").sort_index()

    def resume(self, wait: bool = True, on_update: OnUpdate | None = None) -> Run:
        """Go on from the last checkpoint, with live progress as in `studio.train`; wait=False returns at once.

        Raises JobError for a run that is done or running, and the run's error if it fails.
        """
        since = run_updates.now(self.folder)
        runs.resume(self)
        chat.leave_gpu()
        if not wait:
            return self
        return follow(self, since, on_update)

    def watch(self, on_update: OnUpdate | None = None) -> Run:
        """Show the run live until it has ended. Interrupting leaves it alone. Raises the run's error."""
        return watch(self, on_update=on_update)

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
        asked = chat.as_messages(messages)
        return chat.talker(self).ask(asked, system, max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed)

    def conversation(
        self, *, system: str | None = None, max_tokens: int = 512, temperature: float = 0.0, top_p: float = 1.0, seed: int = 0
    ) -> Conversation:
        """A conversation over several turns: `talk = run.conversation(); talk.say("hello"); talk.say("and then?")`."""
        return chat.Conversation(
            chat.talker(self), system, max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed
        )

    def model(self) -> Loaded:
        """The base with the trained adapter as a PEFT model, and its tokenizer, held as this run trained them:
        `model, tokenizer = run.model()`. Raises JobError without a trained adapter."""
        from studio.models.loading import Loaded

        talker = chat.talker(self)
        return Loaded(talker.model, talker.tokenizer)

    def export(self, kind: str, deploy: bool = False, **settings: object) -> Artifact:
        """Make and verify an export: `run.export("gguf", quant="q4_k_m")`. deploy also writes the files that serve it on
        another machine. Raises SpecError for a wrong kind or setting, ExportError if it cannot be made."""
        chat.leave_gpu()
        return exports.export(self, kind, settings, deploy=deploy)

    def push(self, repository: str, target: str | None = None, public: bool = False) -> dict[str, Any]:
        """Upload a verified export to a hub repository, private by default: `run.push("me/bot", "merged")`. Returns the
        record."""
        return exports.upload(exports.prepare_upload(str(self.folder.path), repository, public, target)).as_json()

    def evaluate(self, also: object = None) -> Report:
        """Evaluate again; the new report replaces the old. also: further questions, as paths, DataFrames or lists of mappings.
        Raises JobError without a trained adapter."""
        from studio.data.in_memory import as_sources

        sources = list[str]() if also is None else as_sources(also, "also")
        chat.leave_gpu()
        return evidence.evaluate(self, [sources] if isinstance(sources, str) else sources)

    def _repr_html_(self) -> str:
        return display.run(self)


class RunList(list[Run]):
    """Runs; a notebook shows them as a table."""

    def to_pandas(self) -> DataFrame:
        """One row a run: id, state, name, model, data, step, losses, verdict and more."""
        import pandas

        return pandas.DataFrame([run.summary().as_json() for run in self])

    def _repr_html_(self) -> str:
        return display.run_list(self)


def find(name: str | Path, home: str | Path | None = None) -> Run:
    """The run of that id, the newest whose id begins so, or `last`. Raises JobError."""
    return Run(runs.find(name, home).folder)


def list_runs(home: str | Path | None = None) -> RunList:
    """All runs, newest first."""
    return RunList(Run(run.folder) for run in runs.list_runs(home))


def compare(*which: runs.Run | str | Path, home: str | Path | None = None) -> Comparison:
    """Runs side by side: `studio.compare(run, "last")`. Takes runs, ids and id prefixes. Raises JobError for fewer than two."""
    return comparison.compare(*(item if isinstance(item, runs.Run) else find(item, home) for item in which))


def start(spec: RunSpec | str | Path | Mapping[str, Any], home: str | Path | None = None) -> Run:
    """Start a run and return at once; it goes on whatever happens to the caller. Raises StudioError before it starts.

    spec: a `RunSpec`, the path of a YAML file, or a mapping. `studio.watch(run)` shows its progress.
    """
    run = runs.start(as_spec(spec), home)
    chat.leave_gpu()  # it would have the GPU that the run waits for
    return Run(run.folder)


def train(
    spec: RunSpec | str | Path | Mapping[str, Any], home: str | Path | None = None, *, on_update: OnUpdate | None = None
) -> Run:
    """Run a spec and wait, with live progress; returns the run. Raises the run's error if it fails.

    spec: a `RunSpec`, the path of a YAML file, or a mapping. on_update: a function called with the run and what is new of it
    (`update.status`, `update.events`, `update.metrics`); it runs here, not in the run's process, and may call `run.stop()`.
    Interrupting the cell asks the run to save a checkpoint and stop; `run.resume()` goes on from it.
    """
    return follow(start(spec, home), on_update=on_update)


def watch(run: Run | str | Path, home: str | Path | None = None, *, on_update: OnUpdate | None = None) -> Run:
    """Show a run live until it has ended, also one that was found again after a restart; returns the run.

    run: a `Run`, an id, an id prefix, or `last`. Interrupting the cell leaves the run alone. Raises the run's error.
    """
    shown = run if isinstance(run, Run) else find(run, home)
    return follow(shown, on_update=on_update, stop_on_interrupt=False)


def sweep(
    spec: RunSpec | str | Path | Mapping[str, Any],
    values: Mapping[str, Sequence[Any]],
    home: str | Path | None = None,
    *,
    wait: bool = True,
    on_update: OnUpdate | None = None,
) -> RunList:
    """One run for each combination of values, one after another; returns the runs in that order.

    `studio.sweep(spec, {"training.learning_rate": [1e-4, 2e-4]})`. Compare them with `studio.compare(*runs)`. values: dotted
    fields of the spec, each with the list of its values. All specs are checked before the first run starts. A run that fails
    does not end the sweep: look at `run.error`. Interrupting the cell stops the current run and starts no further one.
    wait=False puts all of them into the queue and returns at once; `studio.watch(run)` shows one.
    Raises SpecError for an unknown field or a wrong value, DataError for files that are not there.
    """
    variants = sweeps.variants(as_spec(spec), values)
    if not wait:
        chat.leave_gpu()
        return RunList(Run(queue.submit(variant, home).folder) for variant in variants)
    made = RunList()
    for variant in variants:
        made.append(start(variant, home))
        try:
            follow(made[-1], on_update=on_update)
        except StudioError as error:
            if made[-1].error is None:
                raise
            sys.stderr.write(f"{made[-1].id}: {error}\n")
        if made[-1].status.state == "stopped":
            break
    return made


def follow(
    run: Run, since: run_updates.Place | None = None, on_update: OnUpdate | None = None, stop_on_interrupt: bool = True
) -> Run:
    """Show a run until it has ended. since leaves out earlier events, not earlier metrics. Raises the run's error."""
    show = _inline() if _in_notebook() else _lines
    losses = [(line["step"], line["loss"]) for line in run.metrics if "loss" in line] if since else []
    try:
        for update in run_updates.watch(run.folder, every=EVERY, since=since):
            losses += [(line["step"], line["loss"]) for line in update.metrics if "loss" in line]
            show(run, update, losses)
            if on_update is not None:
                _call(on_update, run, update)
    except KeyboardInterrupt:
        if not stop_on_interrupt:
            return run
        run.stop()
    if run.error is not None:
        raise run.error
    return run


def _call(on_update: OnUpdate, run: Run, update: Update) -> None:
    try:
        on_update(run, update)
    except Exception as error:
        error.add_note(f"Raised by on_update; the run goes on by itself: studio.watch({run.id!r})")
        raise


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return bool(shell and getattr(shell.get_ipython(), "kernel", None))


def _inline() -> Callable[[Run, Update, list[tuple[float, float]]], None]:
    from IPython import display as ipython

    untyped: Any = ipython
    handle: Any = untyped.display(ipython.HTML(""), display_id=True)

    def update(run: Run, update: Update, losses: list[tuple[float, float]]) -> None:
        handle.update(ipython.HTML(display.progress(run, losses)))

    return update


def _lines(run: Run, update: Update, losses: list[tuple[float, float]]) -> None:
    """Progress of a script: one line on stderr for each stage, and where the run ended."""
    for event in update.events:
        if isinstance(event, events.Created):
            sys.stderr.write(f"{run.id}: base model {run.spec.model.name}\n")
        if isinstance(event, events.Stage):
            sys.stderr.write(f"{run.id}: {event.stage}\n")
        if isinstance(event, events.Warning | events.Tracking | events.Verdict):
            sys.stderr.write(f"{run.id}: {event}\n")
    status = update.status
    if not status.active:
        took = f" after {duration(status.ended - status.started)}" if status.started and status.ended else ""
        sys.stderr.write(f"{run.id}: {status.state}{took}\n")
