"""Cascades, a small model before a large one: calibrate, test, see the promise, the curve and the costly errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import cascade_web, cascades
from studio.app.cascade_web import Uploads
from studio.app.fragments import parts
from studio.app.fragments.tasks import working
from studio.ui import frame

NONE = parts.empty("No cascade yet", "Calibrate one above: only the small model is asked, and nothing is paid.")
KINDS = (
    ("held-out", "Held-out questions", "Like the training rows, not trained on. None: the run's own held-out rows."),
    ("fresh", "Fresh wordings", "The same facts in new words, e.g. the recipe paraphrases of Make data."),
    ("out-of-scope", "Out of scope", "What the model cannot know, a question a line, e.g. the recipe unanswerable."),
)


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Serve", "Cascade", "A small model answers first, a large one when it is unsure: risk, quality and cost.")
    timer = gr.Timer(1.0, active=False)
    with gr.Column(elem_classes="card"):
        chosen = gr.Dropdown([], label="Cascade", elem_id="cascade", interactive=True)
        serving = gr.HTML(elem_id="cascade-serve", padding=False)
        state = gr.HTML(elem_id="cascade-state", padding=False)
        stop = gr.Button("Stop", elem_id="cascade-stop", visible=False)
        with gr.Accordion("Questions with known answers", open=False, elem_id="cascade-questions"):
            gr.HTML(
                parts.note("JSON lines, CSV or the like. Calibrate on some; test on others that nothing was made from."),
                padding=False,
            )
            files = [
                gr.File(
                    label=label, file_count="multiple", elem_id=f"cascade-{name}", elem_classes="drop", height=130,
                    interactive=True,
                )
                for name, label, _ in KINDS
            ]  # fmt: skip
            gr.HTML(parts.facts([(label, what) for _, label, what in KINDS]), padding=False)
        with gr.Accordion("Calibrate a new cascade", open=False, elem_id="cascade-new"):
            with gr.Row(elem_classes="fields"):
                small = gr.Dropdown([], label="Small model", elem_id="cascade-small", interactive=True, info="Answers first.")
                url = gr.Textbox(
                    label="Large model: API address", placeholder="https://openrouter.ai/api/v1", elem_id="cascade-url",
                    max_lines=1, interactive=True, info="Its key is read from the environment or the keyring.",
                )  # fmt: skip
                model = gr.Textbox(
                    label="Large model: name", elem_id="cascade-model", max_lines=1, interactive=True,
                    info="Its name at the API.",
                )  # fmt: skip
            with gr.Row(elem_classes="fields"):
                price_in, price_out = frame.price_fields("cascade")
                risk = gr.Number(
                    2, label="Risk (%)", minimum=0.1, maximum=50, elem_id="cascade-risk", interactive=True,
                    info="Maximum share of all questions answered locally and wrong.",
                )  # fmt: skip
            calibrate = gr.Button("Calibrate", variant="primary", elem_id="cascade-calibrate")
        with gr.Accordion("Test it on new questions", open=False, elem_id="cascade-test"):
            with gr.Row(elem_classes="fields"):
                ceiling = gr.Number(
                    None, label="Ceiling (USD)", minimum=0, elem_id="cascade-ceiling", interactive=True,
                    info="The large model answers every question once; its answers never cost more.",
                )  # fmt: skip
                machine = gr.Number(
                    None, label="Your machine (USD per hour)", minimum=0, elem_id="cascade-machine", interactive=True,
                    info="Counted for every question.",
                )  # fmt: skip
            report = gr.Button("Test", variant="primary", elem_id="cascade-report-start")
    shown = gr.HTML(parts.waiting("Reading …"), elem_id="cascade-report", padding=False)

    def listed(wanted: str | None) -> tuple[Any, ...]:
        known = cascades.list_cascades(home)
        value = next((one.id for one in known if one.id == wanted), known[0].id if known else None)
        choices = [(f"{one.small} → {one.large.model} · {one.id}", one.id) for one in known]
        return gr.update(choices=choices, value=value), *page(value or "")

    def page(name: str) -> tuple[Any, Any]:
        if not name:
            return "", NONE
        folder = cascades.find(name, home)
        return parts.command(cascades.serve_command(folder)), cascades.page(folder)

    def now() -> tuple[Any, Any, Any]:
        task = cascade_web.task(home)
        running = task is not None and task.state == "running"
        return working(task, "Starting"), gr.update(active=running), gr.update(visible=running)

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        choices = cascade_web.smalls(home)
        names = [value for _, value in choices]
        value = query["run"] if query.get("run") in names else names[0]
        return gr.update(choices=choices, value=value), *now(), *listed(query.get("id"))

    def look(wanted: str | None) -> tuple[Any, ...]:
        task = cascade_web.task(home)
        progress = now()
        if task is None or task.state != "done":
            return *progress, gr.skip(), gr.skip(), gr.skip()
        cascade_web.forget(home)
        return *progress, *listed(wanted if task.kind == "report" else None)

    def calibrating(
        small: str, url: str, model: str, price_in: float | None, price_out: float | None, risk: float | None, *files: Any
    ) -> tuple[Any, Any, Any]:
        prices = (price_in or 0.0, price_out or 0.0) if price_in or price_out else None
        cascade_web.begin_calibrating(home, small, url, model, prices, (risk or 2) / 100, Uploads(*files))
        return now()

    def reporting(name: str | None, ceiling: float | None, machine: float | None, *files: Any) -> tuple[Any, Any, Any]:
        folder = cascades.find(name or "", home)
        cascade_web.begin_reporting(home, folder.path.name, ceiling or 0.0, machine or 0.0, Uploads(*files))
        return now()

    def stopping() -> tuple[Any, Any, Any]:
        cascade_web.forget(home)
        return parts.note("Stopped."), gr.update(active=False), gr.update(visible=False)

    progress, result = [state, timer, stop], [chosen, serving, shown]
    gr.on(None, frame.opened(opened), None, [small, *progress, *result], **frame.QUIET)
    chosen.input(frame.shows(page), [chosen], [serving, shown], **frame.QUIET)
    calibrate.click(
        frame.act(calibrating, "cascade.calibrate", 0),
        [small, url, model, price_in, price_out, risk, *files],
        progress,
        **frame.ACTION,
    )
    report.click(frame.act(reporting, "cascade.report", 0), [chosen, ceiling, machine, *files], progress, **frame.ACTION)
    stop.click(frame.act(stopping, "cascade.stop"), None, progress, **frame.ACTION)
    timer.tick(frame.shows(look), [chosen], [*progress, *result], **frame.QUIET, trigger_mode="once")
