"""Home: the way from data to a served model, this machine, the disk, the newest runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import overview
from studio.app.fragments import home as show
from studio.app.fragments import runs as run_table
from studio.ui import frame


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Home", "From your data to a tuned model, with evidence", "Four steps. Everything stays on this machine.")
    steps = gr.HTML(elem_id="steps", padding=False)
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, elem_classes="card"):
            newest = gr.HTML(elem_id="newest", padding=False)
        with gr.Column(scale=2, elem_classes="card"):
            machine = gr.HTML(elem_id="machine", padding=False)
            disk = gr.HTML(elem_id="disk", padding=False)

    def opened(query: dict[str, str]) -> Any:
        rows = overview.rows(home)
        return show.steps(overview.path(home)), run_table.newest(rows[:6]), show.disk(overview.disk(home))

    def look(query: dict[str, str]) -> str:
        return show.machine(*overview.machine(home))

    gr.on(None, frame.opened(opened), None, [steps, newest, disk], **frame.QUIET)
    gr.on(None, frame.opened(look), None, [machine], **frame.QUIET)
