"""Evidence: is the tuned model better than the base, on rows that were never trained on?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from studio.app import judging, runs, savings
from studio.app.evidence import metrics
from studio.app.fragments import evidence as show
from studio.app.fragments import parts, rate
from studio.app.runs import Run
from studio.core.errors import JobError, StudioError
from studio.ui import frame

NONE = parts.empty(
    "No evidence yet", "Every run ends with an evaluation of base and tuned model on held-out rows.", "/train", "Plan a run"
)


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top(
        "Evidence",
        "Evidence",
        "Is the tuned model better than the base? Metrics with 95 % intervals, answers side by side, forgetting check.",
    )
    with gr.Column(elem_classes="card"):
        run = gr.Dropdown([], label="Run", elem_id="run", interactive=True)
        verdict = gr.HTML(elem_id="verdict", padding=False)
        links = gr.HTML(padding=False)
    with gr.Column(elem_classes="card", visible=False) as figures_card:
        figures = gr.HTML(elem_id="figures", padding=False)
    with gr.Column(elem_classes="card", visible=False) as answers_card:
        gr.HTML(parts.section("Answers", "Words that differ from the reference are marked."), padding=False)
        with gr.Row():
            part = gr.Dropdown(["held-out"], label="Questions", elem_id="set", interactive=True)
            view = gr.Radio(
                [(label, name) for name, label in show.VIEWS], value="changed", label="Which", elem_id="view", interactive=True
            )
        answers = gr.HTML(elem_id="answers", padding=False)

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        found = [run for run in runs.list_runs(home) if run.folder.report.exists()]
        wanted = next((run for run in found if run.id == query.get("id")), found[0] if found else None)
        listed = gr.update(
            choices=[(f"{run.spec.name} · {run.id}", run.id) for run in found], value=wanted.id if wanted else None
        )
        return listed, *shown(wanted.id if wanted else "")

    def shown(place: str) -> tuple[Any, ...]:
        if not place:
            return NONE, "", "", gr.skip(), gr.skip(), gr.update(visible=False), gr.update(visible=False)
        run = _one(place, home)
        report = run.report
        names = [item.name for item in report.sets if item.answers]
        first = next((item for item in report.sets if item.answers), None)
        links = parts.links(
            [
                ("Run", f"/run?id={run.id}", False),
                ("Try it in Chat", f"/chat?id={run.id}", False),
                ("Compare with retrieval and a large model", f"/comparison?run={run.id}", False),
                ("Rate answers blind", f"/rate?id={run.id}", False),
                ("Save as a page", f"/download/{run.id}/evidence", False),
            ]
        )
        return (
            show.verdict(report), links, 
            parts.joined(show.before_and_after(report, metrics()), _judged(run), _savings(run, home)),
            gr.update(choices=names, value=names[0] if names else None), show.answers(first, "changed") if first else "",
            gr.update(visible=True), gr.update(visible=bool(names)),
        )  # fmt: skip

    def viewed(place: str, name: str, which: str) -> str:
        found = _one(place, home).report.set(name)
        if found is None:
            raise JobError("there is no such question set", hint="Choose one from the list.", where=str(name)[:80])
        return show.answers(found, which)

    outputs = [verdict, links, figures, part, answers, figures_card, answers_card]
    gr.on(None, frame.opened(opened), None, [run, *outputs], **frame.QUIET)
    run.input(frame.shows(shown), [run], outputs, **frame.QUIET)
    gr.on([part.input, view.input], frame.shows(viewed), [run, part, view], [answers], **frame.QUIET)


def _judged(run: Run) -> Markup:
    try:
        found = judging.opinion(run)
    except StudioError:  # no answers to judge, or a damaged file
        return Markup("")
    return rate.opinion(found, run.id) if found.report or found.rated else Markup("")


def _savings(run: Run, home: Path) -> Markup:
    try:
        return show.savings(savings.COLUMNS, savings.table(savings.savings(run, home=home)))
    except StudioError:  # damaged records of another run; the evidence above is shown all the same
        return Markup("")


def _one(place: str, home: Path) -> Run:
    for run in runs.list_runs(home):
        if run.id == place and run.folder.report.exists():
            return run
    raise JobError("this run has no evidence", hint="Choose another from the list.", where=str(place)[:80])
