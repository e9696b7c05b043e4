"""Runs: all of them, what is going on, and the way to compare some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import board
from studio.core.errors import JobError
from studio.ui import frame
from studio.ui.fragments import parts
from studio.ui.fragments import runs as show

GO = "(where) => { if (where) location.href = where; }"


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Runs", "Runs", "They go on whatever happens to this page. One at a time has the device; others wait their turn.")
    with gr.Column(elem_classes="card"):
        wanted = gr.Textbox(
            label="Filter", placeholder="name, model, data, state, tag …", elem_id="filter", max_lines=1, interactive=True
        )
        table = gr.HTML(elem_id="runs", padding=False)
    with gr.Column(elem_classes="card"):
        gr.HTML(
            parts.section("Compare", "Curves over each other, the settings that differ, the evidence side by side."),
            padding=False,
        )
        with gr.Row(elem_classes="end"):
            chosen = gr.Dropdown(
                [], multiselect=True, max_choices=6, label="Two to six runs", elem_id="chosen", interactive=True, scale=4
            )
            compare = gr.Button("Compare", elem_id="compare", scale=1)
    where, seen = gr.Textbox(visible=False), gr.State("")

    def shown(query: dict[str, str]) -> tuple[Any, ...]:
        rows = board.rows(home)
        html = show.overview(rows)
        return html, gr.update(choices=[(f"{row['name']} · {row['id']}", row["id"]) for row in rows]), html

    def filtered(words: str, before: str) -> tuple[Any, Any]:
        html = show.overview(board.rows(home), words or "")
        return (gr.skip(), gr.skip()) if html == before else (html, html)

    def comparing(ids: list[str]) -> str:
        if not 2 <= len(ids or []) <= 6:
            raise JobError("choose two to six runs", hint="Add them in the field beside the button.", where="Compare")
        return f"/compare?runs={','.join(ids)}"

    gr.on(None, frame.opened(shown), None, [table, chosen, seen], **frame.QUIET)
    wanted.input(frame.act(filtered), [wanted, seen], [table, seen], trigger_mode="always_last", **frame.QUIET)
    gr.Timer(3).tick(frame.act(filtered), [wanted, seen], [table, seen], **frame.QUIET)
    compare.click(frame.act(comparing), [chosen], [where], **frame.ACTION).success(None, [where], None, js=GO)
