"""Evidence: is the tuned model better than the base, on rows that were never trained on?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from studio.app import feedback, judging, origins, runs, savings
from studio.app.evidence import metrics
from studio.app.fragments import evidence as show
from studio.app.fragments import parts, rate
from studio.app.runs import Run
from studio.core.errors import JobError, StudioError
from studio.ui import feedback_controls, frame

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
        origin = gr.HTML(elem_id="origin", padding=False)
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
        collects, turn = feedback_controls.switch(home)
        answers = gr.HTML(elem_id="answers", padding=False)
    command = feedback_controls.channel()

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        found = [run for run in runs.list_runs(home) if run.folder.report.exists()]
        wanted = next((run for run in found if run.id == query.get("id")), found[0] if found else None)
        if query.get("id") and (wanted is None or wanted.id != query["id"]):
            gr.Warning("No run of this id has evidence. Choose another.")
        listed = gr.update(choices=[(f"{run.title} · {run.id}", run.id) for run in found], value=wanted.id if wanted else None)
        return listed, *feedback_controls.state(home), *shown(wanted.id if wanted else "")

    def shown(run_id: str) -> tuple[Any, ...]:
        if not run_id:
            return NONE, "", "", "", gr.skip(), gr.skip(), gr.update(visible=False), gr.update(visible=False)
        run = _one(run_id, home)
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
        came_from = parts.joined(*map(parts.note, origins.of_run(run)))
        tables = parts.joined(show.before_and_after(report, metrics()), _judged(run), _standard(run), _savings(run, home))
        return (
            show.verdict(report), came_from, links, tables, gr.update(choices=names, value=names[0] if names else None),
            _answers(run, first, "changed", home) if first else "", gr.update(visible=True), gr.update(visible=bool(names)),
        )  # fmt: skip

    def viewed(run_id: str, name: str, which: str) -> str:
        run = _one(run_id, home)
        found = run.report.set(name)
        if found is None:
            raise JobError("there is no such question set", hint="Choose one from the list.", where=str(name)[:80])
        return _answers(run, found, which, home)

    def say(said: str, run_id: str, name: str, which: str) -> str:
        of, opinion, words = feedback_controls.command(said)
        side, _, index = of.partition(":")
        run = _one(run_id, home)
        item = feedback.say_of_evidence(
            home, run, name, int(index) if index.isdigit() else -1, "tuned" if side == "tuned" else "base", opinion
        )
        gr.Info(f"{words} Answer {item.number} of the feedback; its question is held out, so no training row is made of it.")
        return viewed(run_id, name, which)

    outputs = [verdict, origin, links, figures, part, answers, figures_card, answers_card]
    gr.on(None, frame.opened(opened), None, [run, collects, turn, *outputs], **frame.QUIET)
    run.input(frame.shows(shown), [run], outputs, **frame.QUIET)
    gr.on([part.input, view.input], frame.shows(viewed), [run, part, view], [answers], **frame.QUIET)
    feedback_controls.bind(turn, collects, home, viewed, [run, part, view], [answers])
    command.change(
        frame.act(say, "answers.rate", 1),
        [command, run, part, view],
        [answers],
        trigger_mode="multiple",
        concurrency_limit=1,
        **frame.QUIET,
    )


def _answers(run: Run, part: show.SetReport, view: str, home: Path) -> Markup:
    """The answers of a view, with buttons to rate them while collecting is on."""
    on = feedback.collecting(home).pages
    said = feedback.said_of_evidence(home, run, part.name, show.listed(part, view)) if on else None
    lines = {index: (part.answers[index].file, part.answers[index].line) for index in show.listed(part, view)}
    found = zip(lines, origins.of_answers(run, home, list(lines.values())), strict=True)
    return show.answers(part, view, said, {index: parts.came_from(facts, shown=False) for index, facts in found})


def _judged(run: Run) -> Markup:
    try:
        found = judging.opinion(run)
    except StudioError:  # no answers to judge, or a damaged file
        return Markup("")
    return rate.opinion(found, run.id) if found.report or found.rated else Markup("")


def _standard(run: Run) -> Markup:
    try:
        found = run.standard
    except StudioError:  # a damaged file; the evidence above is shown all the same
        return Markup("")
    return show.standard(found) if found else Markup("")


def _savings(run: Run, home: Path) -> Markup:
    try:
        return show.savings(savings.COLUMNS, savings.table(savings.savings(run, home=home)))
    except StudioError:  # damaged records of another run; the evidence above is shown all the same
        return Markup("")


def _one(shown_as: str, home: Path) -> Run:
    for run in runs.list_runs(home):
        if run.id == shown_as and run.folder.report.exists():
            return run
    raise JobError("this run has no evidence", hint="Choose another from the list.", where=str(shown_as)[:80])
