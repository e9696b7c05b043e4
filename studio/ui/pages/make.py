"""Make data: sources → recipe → samples → run → review → dataset. A job works on, whatever becomes of the page."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from studio.app import documents, making, making_web
from studio.app.fragments import making as show
from studio.app.fragments import parts
from studio.core.errors import SpecError, StudioError
from studio.ui import frame

KINDS = [
    ("Questions with quoted answers", "questions"),
    ("Questions without an answer, refused", "unanswerable"),
    ("Paraphrases", "paraphrases"),
    ("Harder variants", "harder"),
    ("Conversations", "conversations"),
]
DROPPED = 5
"""Dropped rows of each filter that are shown."""

REMEMBERED = 50
"""Recipes of the form that are told from edited ones, however late the page shows them."""


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top(
        "Data",
        "Make data",
        "Have a large model write training rows from your documents, under a ceiling on cost.",
    )
    with gr.Column(elem_classes="card"):
        gr.HTML(parts.section("Sources and recipe", "Whole documents are held out before any request is sent."), padding=False)
        with gr.Row(elem_classes="fields"):
            sources = gr.Dropdown(
                [], multiselect=True, label="Documents", elem_id="make-documents", interactive=True,
                info="Collections from the page Documents.",
            )  # fmt: skip
            title = gr.Textbox("Made rows", label="Name", elem_id="make-name", max_lines=1, max_length=80, interactive=True)
        with gr.Row(elem_classes="fields"):
            url = gr.Textbox(
                label="Teacher: API address", placeholder="https://openrouter.ai/api/v1", elem_id="make-url", max_lines=1,
                interactive=True, info="Any OpenAI-compatible API. Its key is saved on the Settings page.",
            )  # fmt: skip
            model = gr.Textbox(
                label="Teacher: model", elem_id="make-model", max_lines=1, interactive=True, info="The model's name at the API."
            )
        with gr.Row(elem_classes="fields"):
            price_in, price_out = frame.price_fields("make")
            share = gr.Slider(
                0, 0.5, 0.2, step=0.05, label="Held-out documents", elem_id="make-holdout", interactive=True,
                info="Share of documents reserved for evaluation.",
            )  # fmt: skip
        kinds = gr.CheckboxGroup(
            KINDS, value=["questions", "unanswerable", "paraphrases"], label="Kinds of rows", elem_id="make-kinds",
            interactive=True,
        )  # fmt: skip
        with gr.Row(elem_classes="fields"):
            context = gr.Dropdown(
                [("answer from a passage in the prompt", "passage"), ("memorize the documents", "none")], value="passage",
                label="The model learns to", elem_id="make-context", interactive=True,
            )  # fmt: skip
            judge = gr.Number(
                None, label="Minimum judge score", minimum=0, maximum=5, elem_id="make-judge", interactive=True,
                info="1 to 5: the teacher scores each row, and rows below are dropped. 0: no judge.",
            )  # fmt: skip
        terms = gr.Textbox(
            label="The teacher's terms", lines=2, max_lines=6, max_length=2000, elem_id="make-terms", interactive=True,
            info="What its terms of use say about training on its answers. Recorded in dataset, run and model card.",
        )  # fmt: skip
        with gr.Accordion("The recipe as YAML", open=False):
            yaml = gr.Textbox(
                label="Recipe", lines=12, max_lines=40, elem_id="make-yaml", interactive=True,
                info="All fields and recipes, including answers to your questions, tool calls, labels and preference pairs.",
            )  # fmt: skip
        leaving = gr.HTML(elem_id="make-leaving", padding=False)
        with gr.Row(elem_classes="actions"):
            plan = gr.Button("Plan with three samples", variant="primary", elem_id="make-plan")
            example = gr.Button("Try the example", elem_id="make-example")
        planning = gr.HTML(elem_id="make-planning", padding=False)
    with gr.Column(elem_classes="card"):
        chosen = gr.Dropdown([], label="Job", elem_id="make-job", interactive=True, visible=False)
        state = gr.HTML(show.NONE, elem_id="make-state", padding=False)
        with gr.Row(elem_classes="end", visible=False) as actions:
            ceiling = gr.Number(
                None, label="Ceiling (USD)", minimum=0, elem_id="make-ceiling", interactive=True, scale=2,
                info="Never exceeded. 0 keeps the previous ceiling; not required for a teacher on this machine.",
            )  # fmt: skip
            go = gr.Button("Approve and run", variant="primary", elem_id="make-run", scale=1)
            pause = gr.Button("Pause", elem_id="make-pause", scale=1, visible=False)
        result = gr.HTML(elem_id="make-result", padding=False)
    seen, current = gr.State(None), gr.State(None)  # what the page shows, and the job it follows
    by_form = gr.State(())  # the recipes that the form wrote, the newest last
    fields = [sources, title, url, model, price_in, price_out, share, kinds, context, judge, terms]

    def written(before: tuple[str, ...], *values: Any) -> tuple[str, tuple[str, ...], Any]:
        """The form as a recipe; half-filled it is none yet."""
        try:
            spec = making_web.from_form(*values)
        except StudioError:
            return "", before, ""
        text = making.as_yaml(spec)
        return text, (*before, text.strip())[-REMEMBERED:], show.sent(spec)

    def planned(text: str | None, by_form: tuple[str, ...], *values: Any) -> Any:
        # A recipe that nobody edited may be older than the form: a click can overtake the form's last changes.
        edited = (text or "").strip() not in ("", *by_form)
        spec = making_web.from_web(text or "", home) if edited else making_web.from_form(*values)
        making_web.begin_plan(spec, home)
        return show.working(making_web.task(home, "plan", "new")), show.sent(spec)

    def trying() -> Any:
        making_web.begin_example(home)
        return show.working(making_web.task(home, "example", "handbook"))

    def now(wanted: str | None, before: dict[str, Any] | None) -> tuple[Any, ...]:
        old = before or {}
        jobs = making.list_jobs(home)
        newest = jobs[0].id if jobs else ""
        fresh = newest != old.get("newest", newest)  # one was planned: show it
        job = next((item for item in jobs if item.id == wanted and not fresh), jobs[0] if jobs else None)
        tasks = [making_web.task(home, "plan", "new"), making_web.task(home, "example", "handbook")]
        for kind, name, task in zip(("plan", "example"), ("new", "handbook"), tasks, strict=True):
            if task is not None and task.state == "done":
                making_web.forget(home, kind, name)
        running = job is not None and job.status.state == "running"
        values = {
            "newest": newest,
            "id": job.id if job else None,
            "list": [(show.label(item), item.id) for item in jobs],
            "working": parts.joined(*(show.working(task) for task in tasks if task and task.state != "done")),
            "state": show.status(job) if job else show.NONE,
            "result": _result(job, home) if job else "",
            "running": running,
            "word": "Approve and run" if job and job.status.state == "planned" else "Resume",
            "ended": job is not None and job.status.state == "done",
        }
        same = {name: before is not None and values[name] == old.get(name) for name in values}
        listed = gr.update(choices=values["list"], value=values["id"], visible=job is not None)
        return (
            gr.skip() if same["working"] else values["working"],
            gr.skip() if same["list"] and same["id"] else listed,
            gr.skip() if same["state"] else values["state"],
            gr.skip() if same["id"] and same["ended"] else gr.update(visible=job is not None and not values["ended"]),
            gr.skip() if same["word"] and same["running"] and same["ended"] else gr.update(
                value=values["word"], visible=not running and not values["ended"]
            ),
            gr.skip() if same["running"] else gr.update(visible=running),
            gr.skip() if same["result"] else values["result"],
            values,
        )  # fmt: skip

    polled, picked = frame.followed(now, "id")

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        known = [(item.title, item.name) for item in documents.collections(home)]
        spec, values = _last_form(home, [name for _, name in known])
        text = making.as_yaml(spec) if spec else ""
        updates = [gr.update(value=value) for value in values] or [gr.skip()] * len(fields)
        updates[0] = gr.update(choices=known, value=values[0] if values else [])
        return *updates, text, (text.strip(),), show.sent(spec), *picked(query.get("job"), None)

    def running(name: str | None, usd: float | None) -> None:
        if not name:
            raise SpecError("there is no job to run", hint="Plan one first.", where="Job")
        making_web.begin(making.find(name, home), home, float(usd) if usd else None)

    def pausing(name: str | None) -> None:
        if name:
            making_web.pause(making.find(name, home))
            gr.Info("Pausing after the requests in flight; their answers are kept.")

    shown = [planning, chosen, state, actions, go, pause, result, seen, current]
    look = {"fn": frame.shows(polled), "inputs": [current, seen], "outputs": shown}
    gr.on(None, frame.opened(opened), None, [*fields, yaml, by_form, leaving, *shown], **frame.QUIET)
    gr.on(
        frame.changed(fields),
        frame.shows(written),
        [by_form, *fields],
        [yaml, by_form, leaving],
        trigger_mode="always_last",
        **frame.QUIET,
    )
    plan.click(frame.act(planned, "make.plan", 3), [yaml, by_form, *fields], [planning, leaving], **frame.ACTION).success(
        **look, **frame.QUIET
    )
    example.click(frame.act(trying, "make.plan"), None, [planning], **frame.ACTION).success(**look, **frame.QUIET)
    go.click(frame.act(running, "make.run", 0), [chosen, ceiling], None, **frame.ACTION).success(**look, **frame.QUIET)
    pause.click(frame.act(pausing, "make.pause", 0), [chosen], None, **frame.ACTION)
    chosen.input(frame.shows(picked), [chosen, seen], shown, **frame.QUIET)
    gr.Timer(2).tick(**look, trigger_mode="once", **frame.QUIET)


def _last_form(home: Path, known: list[str]) -> tuple[making.MakingSpec | None, tuple[Any, ...]]:
    """The recipe that was planned last and its form, to go on with; nothing for one of documents that are gone."""
    spec = making_web.last_planned(home)
    values = making_web.form_of(spec) if spec and set(spec.documents) <= set(known) else None
    return (spec, values) if values else (None, ())


def _result(job: making.MakingJob, home: Path) -> Any:
    """The report of a job, or its plan while there is none. A page asks every two seconds: it is made when it changed."""
    file = job.folder.path / "report.json"
    if not file.exists():
        plan = job.plan
        return show.plan(plan) if plan else ""
    return _report(job.id, home, file.stat().st_mtime_ns, tuple(sorted(making_web.keys_of(job.status, home).items())))


@lru_cache(maxsize=8)
def _report(name: str, home: Path, written: int, keys: tuple[tuple[str, str], ...]) -> Any:
    job = making.find(name, home)
    report = job.report
    assert report is not None
    return parts.joined(show.report(report, job.status, dict(keys)), show.dropped(making.examples(job.dropped, DROPPED)))
