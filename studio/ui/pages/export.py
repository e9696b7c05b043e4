"""Export: make a verified model of a run, download it, copy the command that serves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from studio.app import exporting, runs
from studio.app.runs import Run
from studio.core.errors import JobError
from studio.core.text import size
from studio.ui import form, frame
from studio.ui.fragments import exports as show
from studio.ui.fragments import parts

NONE = parts.empty("Nothing to export yet", "A run that has trained an adapter can be exported.", "/train", "Plan a run")


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top(
        "Export", "Export", "Every export is loaded in the program that will serve it, and must answer as the tuned model did."
    )
    with gr.Column(elem_classes="card"):
        run = gr.Dropdown([], label="Run", elem_id="run", interactive=True)
        none = gr.HTML(padding=False)
        target = gr.Radio([], label="Make", elem_id="target", interactive=True, elem_classes="choices")
        about = gr.HTML(elem_id="about", padding=False)
        make = gr.Button("Make and check it", variant="primary", elem_id="make")
        working = gr.HTML(elem_id="working", padding=False)
    with gr.Column(elem_classes="card"):
        made = gr.HTML(elem_id="made", padding=False)
    timer, seen = gr.Timer(2), gr.State(None)

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        found = [item for item in runs.list_runs(home) if (item.folder.adapter / "adapter_config.json").exists()]
        wanted = next((item for item in found if item.id == query.get("id")), found[0] if found else None)
        listed = gr.update(
            choices=[(f"{item.spec.name} · {item.id}", item.id) for item in found], value=wanted.id if wanted else None
        )
        return listed, "" if found else NONE, *chosen(wanted.id if wanted else "")

    def chosen(place: str) -> tuple[Any, ...]:
        if not place:
            return gr.update(choices=[]), *now("", None)
        found = exporting.sizes(_one(place, home))
        named = []
        for _, value in form.exports():
            name = exporting.label(json.loads(value))
            named.append((f"{name} · about {size(found[name])}" if name in found else name, value))
        first = next((value for label, value in named if "q8_0" in label), named[0][1])
        return gr.update(choices=named, value=first), *now(place, None)

    def now(place: str, before: Any) -> tuple[Any, ...]:
        if not place:
            return (gr.skip(), gr.skip(), before)
        run = _one(place, home)
        fresh = (show.working(exporting.works(run)), show.made(run.id, run.artifacts))
        return (gr.skip(), gr.skip(), before) if fresh == before else (*fresh, fresh)

    def making(place: str, value: str) -> None:
        if value not in {choice for _, choice in form.exports()}:
            raise JobError("choose what to make", hint="One of the list.", where="Make")
        exporting.begin(_one(place, home), json.loads(value), home)

    def told(value: str) -> str:
        return f'<p class="note">{parts.text(show.WHAT.get(exporting.label(json.loads(value)), ""))}</p>' if value else ""

    changing = [working, made, seen]
    gr.on(None, frame.opened(opened), None, [run, none, target, *changing], **frame.QUIET)
    run.input(frame.act(chosen), [run], [target, *changing], **frame.QUIET)
    target.change(frame.act(told), [target], [about], **frame.QUIET)
    timer.tick(frame.act(now), [run, seen], changing, trigger_mode="once", **frame.QUIET)
    make.click(frame.act(making), [run, target], None, **frame.ACTION).success(
        frame.act(now), [run, seen], changing, **frame.QUIET
    )


def _one(place: str, home: Path) -> Run:
    for run in runs.list_runs(home):
        if run.id == place:
            return run
    raise JobError("there is no such run", hint="Choose one from the list.", where=str(place)[:80])
