"""Runs in a notebook: live progress and curve inline, without widgets. A restarted kernel loses nothing: `studio.find`."""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path
from typing import Any

from studio.app import runs
from studio.app.runs import Run, Update
from studio.core import events
from studio.core.charts import Series, line_chart
from studio.core.text import duration
from studio.spec import RunSpec


def train(spec: RunSpec, home: str | Path | None = None) -> Run:
    """Run a spec and wait, with live progress; returns the run. Raises the run's error if it fails.

    Interrupting the cell asks the run to save a checkpoint and stop; `run.resume()` goes on.
    """
    run = runs.start(spec, home)
    show = _inline() if _in_notebook() else _lines
    losses: list[tuple[float, float]] = []
    try:
        for update in runs.watch(run, every=0.5):
            losses += [(line["step"], line["loss"]) for line in update.metrics if "loss" in line]
            show(run, update, losses)
    except KeyboardInterrupt:
        run.stop()
    error = run.error
    if error is not None:
        raise error
    return run


def run_html(run: Run) -> str:
    """A run as a notebook shows it: state, verdict, before/after, folder."""
    summary = run.summary()
    before_after = ""
    if run.folder.report.exists():
        from studio.evaluation import table

        lines = [_table_row("th", table.HEADER), *(_table_row("td", row) for row in table.rows(run.report))]
        before_after = f"<table>{''.join(lines)}</table>"
    losses = [(line["step"], line["loss"]) for line in run.metrics if "loss" in line]
    verdict = f"<p><b>{escape(summary['verdict'])}</b></p>" if summary["verdict"] else ""
    where = f"<p><code>{escape(summary['folder'])}</code></p>"
    return f"<p><b>{escape(run.id)}</b>: {summary['state']}</p>{verdict}{curve(losses)}{before_after}{where}"


def _table_row(tag: str, cells: Any) -> str:
    return "<tr>" + "".join(f"<{tag} style='text-align:left'>{escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"


def curve(points: list[tuple[float, float]]) -> str:
    """A loss curve as inline SVG; empty for fewer than two points."""
    if len(points) < 2:
        return ""
    return f'<div style="max-width:560px">{line_chart("Training loss", [Series("training loss", points, smooth=True)])}</div>'


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return bool(shell and getattr(shell.get_ipython(), "kernel", None))


def _inline() -> Any:
    from IPython.display import HTML, display

    handle: Any = display(HTML(""), display_id=True)

    def show(run: Run, update: Update, losses: list[tuple[float, float]]) -> None:
        now = update.status
        share = now.done / now.total if now.total else 0
        bar = f"<progress value='{share:.3f}' max='1' style='width:480px'></progress>" if now.active else ""
        took = "" if now.active or not now.started or not now.ended else f" in {duration(now.ended - now.started)}"
        handle.update(HTML(f"<p><b>{escape(run.id)}</b>: {now.state}{took} {escape(now.what)}</p>{bar}{curve(losses)}"))

    return show


def _lines(run: Run, update: Update, losses: list[tuple[float, float]]) -> None:
    for event in update.events:
        if isinstance(event, events.Stage):
            sys.stderr.write(f"{run.id}: {event.stage}\n")
