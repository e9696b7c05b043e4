"""One run: how far it is, its curves, what happened, the log; stop, go on, run again, delete; note and tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from studio.app import curves, data_sources, overview, queue, run_updates, runs
from studio.app.fragments import parts
from studio.app.fragments import runs as show
from studio.app.runs import PlanRecord, Run, Status
from studio.core import events
from studio.core.charts import Series, line_chart
from studio.core.errors import JobError, StudioError
from studio.core.text import duration
from studio.ui import frame, variants


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Runs", "Run")
    key = gr.Textbox(visible=False)
    missing = gr.HTML(elem_id="missing", padding=False, visible=False)
    with gr.Column(elem_id="run-body", elem_classes="page-body") as content:
        with gr.Column(elem_classes="card"):
            title = gr.HTML(elem_id="title", padding=False)
            head = gr.HTML(elem_id="head", padding=False)
            error = gr.HTML(elem_id="error", padding=False)
            stages = gr.HTML(elem_id="stages", padding=False)
            kpis = gr.HTML(elem_id="kpis", padding=False)
            links = gr.HTML(elem_id="links", padding=False)
            with gr.Row(elem_classes="actions"):
                stop = gr.Button("Stop", variant="stop", elem_id="stop", visible=False)
                resume = gr.Button("Resume", variant="primary", elem_id="resume", visible=False)
                sooner = gr.Button("Run next", elem_id="sooner", visible=False)
                delete = frame.confirmed("Delete", "Delete the run, its adapter and its exports", "delete")
        with gr.Column(elem_classes="card"):
            plots = gr.HTML(elem_id="curves", padding=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, elem_classes="card"):
                gr.HTML(parts.section("What happened"), padding=False)
                story = gr.HTML(elem_id="story", padding=False)
                decisions = gr.HTML(elem_id="decisions", padding=False)
            with gr.Column(scale=2, elem_classes="card"):
                gr.HTML(parts.section("Your notes"), padding=False)
                note = gr.Textbox(label="Note", lines=3, max_lines=8, elem_id="note", interactive=True)
                tags = gr.Textbox(label="Tags", info="Separated by commas.", elem_id="tags", max_lines=1, interactive=True)
                save = gr.Button("Save", elem_id="save-notes")
        with gr.Column(elem_classes="card"):
            gr.HTML(parts.section("Log"), padding=False)
            log = gr.HTML(elem_id="log", padding=False)
    timer, seen = gr.Timer(2), gr.State({})
    live = [head, error, stages, kpis, links, plots, story, log]
    buttons = [stop, resume, sooner]

    def now(run_id: str, before: dict[str, Any]) -> list[Any]:
        """What changed since the last look; what did not is left alone, so that nothing flickers."""
        if not run_id:
            return [gr.skip()] * (len(live) + len(buttons) + 2)
        run = runs.find(run_id, home)
        status = run.status
        fresh = _fragments(run, home)
        can = (
            status.active,
            status.state in ("stopped", "interrupted", "failed") and run.folder.asked.exists(),
            bool(fresh["position"] and fresh["position"] > 1),
        )
        after = {**{name: html for name, html in fresh.items() if name != "position"}, "can": can}
        shown = [gr.skip() if before.get(name) == fresh[name] else fresh[name] for name in NAMES]
        updates = [gr.skip() if before.get("can") == can else gr.update(visible=item) for item in can]
        return [*shown, *updates, after, gr.update(active=status.active)]

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        try:
            run = _exactly(query.get("id", ""), home)
        except JobError:
            return (gr.skip(),) * 5 + (
                frame.missing("No such run", "It may have been deleted.", "/runs", "See all runs"),
                gr.update(visible=False),
            )
        try:
            spec, written = run.spec, overview.notes(run)
        except StudioError:  # damaged: which file it is and what to do is part of what follows
            return run.id, parts.section(run.id, ""), gr.skip(), "", "", gr.skip(), gr.skip()
        model = show.short_model(spec.model.name)
        data = data_sources.names(spec)
        heading = parts.section(spec.name, f"{model} on {data} · {run.id}")
        return run.id, heading, show.decisions(_plan(run)), written.note, ", ".join(written.tags), gr.skip(), gr.skip()

    results = [*live, *buttons, seen, timer]
    look = {"fn": frame.shows(now), "inputs": [key, seen], "outputs": results, **frame.QUIET}
    opening = gr.on(None, frame.opened(opened), None, [key, title, decisions, note, tags, missing, content], **frame.QUIET)
    opening.success(**look)
    with content:
        variants.build(home, key, opening)
    timer.tick(**look, trigger_mode="once")

    def stopping(run_id: str) -> None:
        queue.stop(_exactly(run_id, home), home)
        gr.Info("The run saves a checkpoint and stops.")

    def resuming(run_id: str) -> None:
        runs.resume(_exactly(run_id, home))

    def saving(run_id: str, words: str, labels: str) -> None:
        overview.write_notes(_exactly(run_id, home), words or "", (labels or "").split(","))
        gr.Info("Saved.")

    stop.click(frame.act(stopping, "run.stop", 0), [key], None, **frame.ACTION).success(**look)
    resume.click(frame.act(resuming, "run.resume", 0), [key], None, **frame.ACTION).success(**look)
    sooner.click(frame.act(lambda run_id: queue.move(run_id, 1, home), "run.move", 0), [key], None, **frame.ACTION).success(
        **look
    )
    save.click(frame.act(saving, "run.notes", 0), [key, note, tags], None, **frame.ACTION).success(**look)
    delete.click(
        frame.act(lambda run_id: runs.delete(_exactly(run_id, home)) and None, "run.delete", 0), [key], None, **frame.ACTION
    ).success(None, None, None, js="() => { location.href = '/runs'; }")


NAMES = ("head", "error", "stages", "kpis", "links", "curves", "story", "log")


def _exactly(run_id: str, home: Path) -> Run:
    """The run of exactly this id: a page never takes a path or the beginning of a name."""
    for run in runs.list_runs(home):
        if run.id == run_id:
            return run
    raise JobError("there is no such run", hint="See the list of runs.", where=run_id[:80])


def _fragments(run: Run, home: Path) -> dict[str, Any]:
    """Every part of the page that changes while a run goes on."""
    row = next(row for row in overview.rows(home) if row.id == run.id)
    status, plan, found = run.status, _plan(run), curves.read(run.folder.metrics)
    return {
        "head": show.head(row, _wandb(run)),
        "error": show.problem(row.error if row.damaged else status.error),
        "stages": show.stages(status),
        "kpis": show.kpis(row, found.last, _time_left(status, found), plan),
        "links": _links(run, status.state),
        "curves": _curves(found),
        "story": show.story(run.events),
        "log": show.log(run_updates.log_tail(run.folder)),
        "position": row.position,
    }


def _curves(read: curves.Curves) -> Markup:
    series = {name: item.points() for name, item in read.series.items()}

    def line(label: str, name: str) -> Series:
        noisy = ("loss", "grad_norm", "tokens_per_second", "accuracy", "margin", "logp_chosen", "logp_rejected")
        return Series(label, series.get(name, []), smooth=name in noisy)

    drawn = [
        line_chart("Loss", [line("training", "loss"), line("held-out", "eval_loss")]),
        line_chart(
            "Pairs whose preferred answer is rewarded more", [line("training", "accuracy"), line("held-out", "eval_accuracy")]
        ),
        line_chart("Reward margin", [line("training", "margin"), line("held-out", "eval_margin")]),
        line_chart(
            "log p of held-out answers", [line("preferred", "eval_logp_chosen"), line("rejected", "eval_logp_rejected")]
        ),
        line_chart("Learning rate", [line("learning rate", "lr")]),
        line_chart("Gradient norm", [line("gradient norm", "grad_norm")]),
        line_chart("Speed, tokens per second", [line("tokens per second", "tokens_per_second")]),
    ]
    return show.curves(drawn, "Curves appear with the first logged step.")


def _plan(run: Run) -> PlanRecord | None:
    """The plan; None also where it is damaged, as the page says above."""
    try:
        return run.plan
    except StudioError:
        return None


def _time_left(status: Status, read: curves.Curves) -> str:
    """The time that training will still take, in words."""
    span = curves.seconds_left(status, read)
    if span is None:
        return ""
    low, high = (duration(seconds) for seconds in span)
    return f"about {low}" if low == high else f"{low} to {high}"


def _links(run: Run, state: str) -> Markup:
    items = [("Run again", f"/train?again={run.id}", False)]
    if state == "done" and not run.is_reward_model:
        items = [("Chat", f"/chat?id={run.id}", False), ("Export", f"/export?id={run.id}", False), *items]
    if run.folder.report.exists():
        items.insert(0, ("Evidence", f"/evidence?id={run.id}", True))
    return parts.links(items)


def _wandb(run: Run) -> str:
    for event in reversed(run.events):
        if isinstance(event, events.Tracking) and event.url.startswith("https://"):
            return event.url
    return ""
