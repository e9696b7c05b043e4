"""Compare two to six runs: curves over each other, the settings that differ, the evidence side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import board, curves, runs
from studio.core.errors import JobError
from studio.ui import frame
from studio.ui.fragments import charts, parts
from studio.ui.fragments import compare as show


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Runs", "Compare runs")
    with gr.Column(elem_classes="card"):
        plots = gr.HTML(parts.waiting("Reading …"), elem_id="compared-curves", padding=False)
    with gr.Column(elem_classes="card"):
        results = gr.HTML(elem_id="results", padding=False)
    with gr.Column(elem_classes="card"):
        settings = gr.HTML(elem_id="differences", padding=False)

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        wanted = [name for name in query.get("runs", "").split(",") if name]
        known = {run.id: run for run in runs.list_runs(home)}
        found = [known[name] for name in dict.fromkeys(wanted) if name in known]
        if not 2 <= len(found) <= 6:
            raise JobError("two to six runs can be compared", hint="Choose them on the Runs page.", where="Compare")
        rows = {row["id"]: row for row in board.rows(home)}
        names = [f"{run.spec.name} ({run.id[-6:]})" for run in found]
        return (
            _curves(found, names),
            show.results([rows[run.id] for run in found], [_table(run) for run in found], names),
            show.settings(runs.differences(found), names),
        )

    gr.on(None, frame.opened(opened), None, [plots, results, settings], **frame.QUIET)


def _curves(found: list[Any], names: list[str]) -> str:
    series = [curves.read(run.folder.metrics).series for run in found]
    drawn = "".join(
        charts.chart(
            title,
            [(name, item[key].points(500)) for name, item in zip(names, series, strict=True) if key in item],
            smooth=smooth,
        )
        for title, key, smooth in (
            ("Training loss", "loss", True),
            ("Held-out loss", "eval_loss", False),
            ("Gradient norm", "grad_norm", True),
        )
    )
    return parts.section("Curves") + (
        f'<div class="charts">{drawn}</div>' if drawn else '<p class="note">No steps were logged yet.</p>'
    )


def _table(run: Any) -> list[tuple[str, ...]]:
    if not run.folder.report.exists():
        return []
    from studio.evaluation import table

    return [tuple(row) for row in table.rows(run.report)]
