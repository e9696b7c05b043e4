"""Runs in a notebook or a script: live progress inline, without widgets. A restarted kernel loses nothing: `studio.find`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from studio.app import display, run_updates, runs
from studio.app.run_updates import Update
from studio.app.runs import Run
from studio.core import events
from studio.core.text import duration
from studio.spec import RunSpec, as_spec

OnUpdate = Callable[[Run, Update], object]
"""Called with what is new of a run, twice a second at most: status, events, metrics."""
EVERY = 0.5
"""Seconds between two looks at a run."""


def start(spec: RunSpec | str | Path | Mapping[str, Any], home: str | Path | None = None) -> Run:
    """Start a run and return at once; it goes on whatever happens to the caller. Raises StudioError before it starts.

    spec: a `RunSpec`, the path of a YAML file, or a mapping. `studio.watch(run)` shows its progress.
    """
    return runs.start(as_spec(spec), home)


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
    found = run if isinstance(run, Run) else runs.find(run, home)
    return follow(found, on_update=on_update, stop_on_interrupt=False)


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
    from IPython.display import HTML
    from IPython.display import display as show

    handle: Any = show(HTML(""), display_id=True)

    def update(run: Run, update: Update, losses: list[tuple[float, float]]) -> None:
        handle.update(HTML(display.progress(run, losses)))

    return update


def _lines(run: Run, update: Update, losses: list[tuple[float, float]]) -> None:
    """Progress of a script: one line on stderr for each stage, and where the run ended."""
    for event in update.events:
        if isinstance(event, events.Created):
            sys.stderr.write(f"{run.id}: base model {run.spec.model.name}\n")
        if isinstance(event, events.Stage):
            sys.stderr.write(f"{run.id}: {event.stage}\n")
        if isinstance(event, events.Warning | events.Verdict):
            sys.stderr.write(f"{run.id}: {event}\n")
    status = update.status
    if not status.active:
        took = f" after {duration(status.ended - status.started)}" if status.started and status.ended else ""
        sys.stderr.write(f"{run.id}: {status.state}{took}\n")
