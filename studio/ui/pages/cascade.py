"""Cascades: the promise, the curve and the costly errors of each; a small model first, a large one where it is unsure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import cascades
from studio.app.fragments import parts
from studio.ui import frame

NONE = parts.empty(
    "No cascade yet",
    "studio cascade calibrate RUN --large URL#MODEL finds the threshold between a small and a large model.",
    "/runs",
    "Choose a run",
)


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Serve", "Cascade", "A small model answers first, a large one when it is unsure: risk, quality and cost.")
    with gr.Column(elem_classes="card"):
        chosen = gr.Dropdown([], label="Cascade", elem_id="cascade", interactive=True)
    shown = gr.HTML(parts.waiting("Reading …"), elem_id="cascade-report", padding=False)

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        known = cascades.list_cascades(home)
        wanted = next((one.id for one in known if one.id == query.get("id")), known[0].id if known else None)
        choices = [(f"{one.small} → {one.large.model} · {one.id}", one.id) for one in known]
        return gr.update(choices=choices, value=wanted), page(wanted or "")

    def page(name: str) -> Any:
        return cascades.page(cascades.find(name, home)) if name else NONE

    gr.on(None, frame.opened(opened), None, [chosen, shown], **frame.QUIET)
    chosen.input(frame.shows(page), [chosen], [shown], **frame.QUIET)
