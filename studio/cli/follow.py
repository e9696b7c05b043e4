"""Following a run in the terminal: stages, progress bar, what happened, and how it ended."""

from __future__ import annotations

import os
import signal
import sys
import time
from json import dumps
from typing import TYPE_CHECKING, Any

from studio.app.run_updates import Place, Update, how_far, watch
from studio.app.runs import Run, pace
from studio.cli import show
from studio.cli.options import Shown
from studio.core import events
from studio.core.events import Event
from studio.core.metrics import MetricsPoint
from studio.core.text import duration

if TYPE_CHECKING:
    from studio.runs.status import Status

STAGES = {
    "queued": "Waiting for the device",
    "preparing": "Preparing: read, check, split, encode, plan",
    "training": "Training the adapter",
    "evaluating": "Evidence: base against tuned",
    "exporting": "Exporting and verifying",
}


def follow(
    run: Run,
    json: bool = False,
    extra: dict[str, Any] | None = None,
    since: Place | None = None,
    progress: Shown | None = None,
) -> int:
    """Show a run until it has ended, and how it ended; the exit code.

    since leaves out what happened before, e.g. before a resume. progress: by default a bar, or nothing with json.
    """
    return 130 if detached(run, json, since, progress) else ended(run, json, extra or {})


def detached(run: Run, json: bool = False, since: Place | None = None, progress: Shown | None = None) -> bool:
    """Show a run until it has ended. The first Ctrl-C asks it to stop and waits; a second one leaves it, which is said by
    True."""
    if not json:
        show.say(f"run {run.id}", "bold")
        show.say(show.base_model(run.spec.model.name))
    shown = progress or (Shown.none if json else Shown.bar)
    view = {Shown.none: _Quiet, Shown.json: _JsonLines, Shown.bar: _Bar}[shown](run)
    asked = False
    if os.environ.get("WANDB_SWEEP_ID"):  # the agent of a sweep ends a run so, and would leave this one running
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with view:
        while True:
            try:
                for update in watch(run.folder, since=since):
                    view.show(update)
                    since = update.position
                return False
            except KeyboardInterrupt:
                if asked:
                    print(f"the run is still stopping in the background: studio runs watch {run.id}", file=sys.stderr)
                    return True
                asked = True
                print("stopping: saving a checkpoint (press Ctrl-C again to detach)", file=sys.stderr)
                run.request_stop()


def exit_code(run: Run) -> int:
    """The exit code that says how a run ended."""
    now = run.status
    if now.error and now.state == "failed":
        return now.error.error().exit_code
    return {"done": 0, "stopped": 130}.get(now.state, 1)


def ended(run: Run, json: bool, extra: dict[str, Any]) -> int:
    """Show how a run ended; the exit code."""
    now, code = run.status, exit_code(run)
    if json:
        show.as_json({**run.summary().as_json(), **extra, "exit_code": code})
        return code
    if now.error:
        print(now.error, file=sys.stderr)
        print(f"→ {now.error.hint}", file=sys.stderr)
    if now.state == "stopped":
        show.say(f"Stopped, with a checkpoint. Resume: studio runs resume {run.id}")
    if now.state == "done":
        summary(run)
    return code


def summary(run: Run) -> None:
    """The before/after table, the exports, and the output files."""
    from studio.app import damage, exports

    folder = run.folder
    if folder.report.exists():
        show.heading("Before and after")
        show.evidence(run.report)
    artifacts = [item.artifact for item in exports.list_exports(run)]
    if artifacts:
        show.heading("Exports")
        for artifact in artifacts:
            show.artifact(artifact, every=False)
    for item in damage.of_run(folder):
        show.say(f"damaged: {item.file.relative_to(folder.path)}: {item.what}\n→ {item.hint}", "red")
    show.heading("Output files")
    show.say(f"  {folder.path}")
    lines = [
        (folder.adapter, "the adapter; plain peft loads it"),
        (folder.report_page, "the evidence as a page"),
        (folder.exports, "merged model, GGUF, their checks"),
        (folder.spec_file, "what was run; studio train it again to repeat"),
    ]
    for path, what in lines:
        if path.exists():
            show.say(f"  {path.relative_to(folder.path)!s:<28} {what}")
    if run.is_reward_model:
        show.say(f"  studio score {run.id} FILE      score the answers of a file")
    else:
        show.say(f"  studio chat {run.id:<17} talk to base and tuned side by side")


class _Quiet:
    """For --json: progress stays silent, warnings go to stderr."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __enter__(self) -> _Quiet:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, update: Update) -> None:
        for event in update.events:
            if isinstance(event, events.Warning | events.Waiting):
                print(event, file=sys.stderr)


class _JsonLines(_Quiet):
    """For programs: what is new, one JSON object a line on stderr, with `event`, `metrics` or `status` as its only key."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.last: dict[str, Any] = {}

    def show(self, update: Update) -> None:
        lines: list[dict[str, Any]] = [{"event": event.as_line()} for event in update.events]
        lines += [{"metrics": point.as_json()} for point in update.metrics]
        now = {name: getattr(update.status, name) for name in ("state", "what", "done", "total")}
        if now != self.last:
            lines.append({"status": now})
            self.last = now
        for line in lines:
            print(dumps(line, ensure_ascii=False, default=str), file=sys.stderr, flush=True)


class _Bar:
    """A live progress bar under the story of the run."""

    def __init__(self, run: Run) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("  {task.description}"), BarColumn(bar_width=30), TextColumn("{task.fields[detail]}"))
        self.bar = Progress(*columns, console=show.console(), transient=True, auto_refresh=False)
        self.run = run
        self.task: Any = None
        self.decided = self.hidden = 0
        self.begun = time.monotonic()
        self.last: dict[str, float] = {}
        self.lines: list[MetricsPoint] = []

    def __enter__(self) -> _Bar:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def show(self, update: Update) -> None:
        for event in update.events:
            self.tell(event)
        for line in update.metrics:
            self.last.update(line)
            self.lines.append(line)
        now = update.status
        if now.active and now.total:
            if self.task is None:
                self.task = self.bar.add_task("", total=1.0, detail="")
                self.begun = time.monotonic()
            self.bar.update(self.task, completed=now.done / now.total, description=how_far(now), detail=self.detail(now))
        self.bar.refresh()

    def detail(self, now: Status) -> str:
        left = self.left(now)
        parts = [f"{now.done / now.total:.0%}"]
        if now.state == "training" and "loss" in self.last:
            parts.append(f"loss {self.last['loss']:.3f}")
            if "eval_loss" in self.last:
                parts.append(f"held-out {self.last['eval_loss']:.3f}")
            if self.last.get("tokens_per_second"):
                parts.append(f"{self.last['tokens_per_second']:,.0f} tokens/s")
        if left:
            parts.append(f"{left} left")
        return " · ".join(parts)

    def left(self, now: Status) -> str:
        """How long the stage will still take: for training a range by its recent steps."""
        if now.state == "training" and now.what == "step":
            found = pace.seconds_left(self.lines, now.total, now.process_started or 0.0)
            if found:
                low, high = (duration(seconds) for seconds in found)
                return low if low == high else f"{low} to {high}"
        return show.time_left(now.done, now.total, time.monotonic() - self.begun)

    def tell(self, event: Event) -> None:
        """Show one event; those that the progress bar or the end of the run shows anyway are left out."""
        if self.hidden and not isinstance(event, events.Decision):
            show.say(f"  {self.hidden} more decisions: studio runs show {self.run.id} --all", "dim")
            self.hidden = 0
        match event:
            case events.Stage():
                if self.task is not None:
                    self.bar.remove_task(self.task)
                    self.task = None
                self.last = {}
                show.heading(STAGES.get(event.stage) or event.stage)
            case events.StageDone():
                show.say(f"  done in {duration(event.seconds)}", "dim")
            case events.Decision():
                self.decision(event)
            case events.Note():
                show.say(f"  {event}", "dim")
            case events.Warning() | events.Waiting():
                show.say(f"  ! {event}", "yellow")
            case events.Verdict():
                show.say(f"  {event}", "bold")
            case (
                events.DataReady() | events.Tracking() | events.CheckpointLoaded() | events.Trained() | events.Exported()
                | events.EarlyStop() | events.Unreadable()
            ):  # fmt: skip
                show.say(f"  {event}")

    def decision(self, event: events.Decision) -> None:
        """The plan in a few lines before its first decision; then those that people usually change."""
        self.decided += 1
        if self.decided == 1 and (plan := self.run.plan) is not None:
            for line in plan.summary:
                show.say(f"  {line}")
        if show.is_often_changed(event.field):
            show.say(f"  {event.field} = {show.cell(event.value)}: {event.reason}", "dim")
        else:
            self.hidden += 1
