"""A section of the run page: what each smaller form of the run costs; layers left out and healed; adapters merged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from studio.app import cli_subprocess, runs, savings
from studio.app.fragments import parts
from studio.core.errors import JobError, SpecError, StudioError
from studio.ui import frame

if TYPE_CHECKING:
    import gradio as gr

METHODS = [
    ("Exactly: the ranks add up (cat)", "cat"),
    ("To the largest rank, error reported (svd)", "svd"),
    ("Experiment: TIES", "ties"),
    ("Experiment: DARE", "dare"),
]


def build(home: Path, key: gr.Component, opening: Any) -> None:
    """Lay the section out. key: the component that holds the run's id; opening: the event after which it is filled."""
    import gradio as gr

    with gr.Column(elem_classes="card", elem_id="variants", visible=False) as section:
        gr.HTML(parts.section("Smaller or combined", "Each makes a new run with evidence of its own."), padding=False)
        costs = gr.HTML(elem_id="savings", padding=False)
        with gr.Row(equal_height=False):
            with gr.Column(min_width=280):
                layers = gr.Number(
                    1, label="Layers to leave out", precision=0, minimum=1, elem_id="layers", interactive=True,
                    info="Those that change least on this run's rows. The whole model then teaches the smaller one.",
                )  # fmt: skip
                prune = gr.Button("Prune and heal", elem_id="prune")
            with gr.Column(min_width=280):
                others = gr.Dropdown(
                    [], label="Merge with", multiselect=True, elem_id="merge-with", interactive=True,
                    info="Runs on the same base model. The result answers the held-out rows of all.",
                )  # fmt: skip
                method = gr.Dropdown(METHODS, value="cat", label="How", elem_id="merge-method", interactive=True)
                merge = gr.Button("Merge adapters", elem_id="merge")
    made = gr.Textbox(visible=False)

    def filled(run_id: str) -> tuple[Any, ...]:
        found = {run.id: run for run in runs.list_runs(home)}
        run = found.get(run_id)
        if run is None or run.status.state != "done":
            return gr.update(visible=False), gr.skip(), gr.skip()
        same = [
            (f"{other.title} · {other.id}", other.id)
            for other in found.values()
            if other.id != run_id and other.status.state == "done" and other.base_model == run.spec.model.name
        ]
        return gr.update(visible=True), table(run, home), gr.update(choices=same, value=[])

    def pruning(run_id: str, number: float | None) -> str:
        if not number or number < 1:
            raise SpecError("the number of layers is missing", hint="Write 1 or more.", where="Layers to leave out")
        return cli_subprocess.prune(_known(run_id, home), int(number), home)

    def merging(run_id: str, chosen: list[str] | None, how: str) -> str:
        if not chosen:
            raise SpecError("no other run is chosen", hint="Choose at least one.", where="Merge with")
        return cli_subprocess.merge([_known(name, home) for name in (run_id, *chosen)], how, home)

    opening.success(frame.shows(filled), [key], [section, costs, others], **frame.QUIET)
    go = "(id) => { if (id) location.href = '/run?id=' + encodeURIComponent(id); }"
    prune.click(frame.act(pruning, "run.prune", 0), [key, layers], [made], **frame.ACTION).success(None, [made], None, js=go)
    merge.click(frame.act(merging, "run.merge", 0), [key, others, method], [made], **frame.ACTION).success(
        None, [made], None, js=go
    )


def table(run: runs.Run, home: Path) -> Markup:
    """What each smaller form of the run costs; a note where there is no evidence to compare with."""
    try:
        found = savings.savings(run, (), home)
    except StudioError as problem:
        return parts.note(f"{problem.message}. {problem.hint}")
    caption = f"What each form costs: {found.label.lower()} on the run's held-out rows"
    starred = any(row.speed_from == "evaluation" for row in found.rows)
    note = parts.note("* in the evaluation, many answers at once; studio bench measures all forms alike") if starred else ""
    return parts.joined(parts.table(savings.COLUMNS, savings.table(found), caption, (1, 2, 3, 5)), note)


def _known(run_id: str, home: Path) -> str:
    """The id, if it is one of the home's: a page never takes a path."""
    if any(run.id == run_id for run in runs.list_runs(home)):
        return run_id
    raise JobError("there is no such run", hint="See the list of runs.", where=run_id[:80])
