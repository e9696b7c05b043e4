"""Compare two to six runs: curves over each other, the settings that differ, the evidence side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from studio.app import comparison, curves, overview, runs
from studio.app.fragments import compare as show
from studio.app.fragments import parts
from studio.app.fragments import runs as show_runs
from studio.app.runs import Run
from studio.core.charts import Series, line_chart
from studio.core.text import plural
from studio.ui import frame


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
        compared = [known[name] for name in dict.fromkeys(wanted) if name in known]
        if not 2 <= len(compared) <= 6:
            nothing = parts.empty(
                "Two to six runs can be compared",
                f"{plural(len(compared), 'run')} of this address could be compared.",
                "/runs",
                "Choose runs",
            )
            return nothing, "", ""
        rows = {row.id: row for row in overview.rows(home)}
        names = [f"{run.title} ({run.id[-6:]})" for run in compared]
        return (
            _curves(compared, names),
            show.results([rows[run.id] for run in compared], [comparison.evidence_rows(run) for run in compared], names),
            show.settings(comparison.differences(compared), names),
        )

    gr.on(None, frame.opened(opened), None, [plots, results, settings], **frame.QUIET)


def _curves(compared: list[Run], names: list[str]) -> Markup:
    series = [curves.read(run.folder.metrics).series for run in compared]
    drawn = [
        line_chart(
            title,
            [
                Series(name, item[key].points(500), smooth, colour=index)
                for index, (name, item) in enumerate(zip(names, series, strict=True))
                if key in item
            ],
        )
        for title, key, smooth in (
            ("Training loss", "loss", True),
            ("Held-out loss", "eval_loss", False),
            ("Gradient norm", "grad_norm", True),
        )
    ]
    return show_runs.curves(drawn, "No steps were logged yet.")
