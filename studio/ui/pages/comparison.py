"""Compare answers: base, tuned, retrieval, both, and a large model on the same questions; one page, one picture, one YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import answer_comparison, comparison_web
from studio.app.fragments import parts
from studio.app.fragments.tasks import working
from studio.core.errors import StudioError
from studio.ui import frame

NONE = parts.empty(
    "No comparison yet",
    "Choose a run above. Its base, with and without passages, and a large model answer the same questions.",
)


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top(
        "Evidence",
        "Compare answers",
        "Base, tuned, retrieval, both, and a large model: quality, refusals, latency and cost on the same held-out questions.",
    )
    timer = gr.Timer(1.0, active=False)
    with gr.Column(elem_classes="card"):
        with gr.Row(elem_classes="fields"):
            run = gr.Dropdown([], label="Run or model", elem_id="compare-run", interactive=True)
            questions = gr.Dropdown(
                [], label="Questions", elem_id="compare-questions", interactive=True,
                info="Questions the run was trained on are refused.",
            )  # fmt: skip
            most = gr.Number(
                100, label="Maximum number of questions", minimum=2, precision=0, elem_id="compare-most", interactive=True
            )
        with gr.Row(elem_classes="fields"):
            index = gr.Dropdown(
                [], label="Answer from", elem_id="compare-index", interactive=True,
                info="An index of documents; each model also answers from its passages.",
            )  # fmt: skip
            passages = gr.Number(
                4, label="Passages in a prompt", minimum=1, maximum=20, precision=0, elem_id="compare-passages",
                interactive=True, info="Fewer where the model's context is short.",
            )  # fmt: skip
        with gr.Row(elem_classes="fields"):
            url = gr.Textbox(
                label="Large model: API address", placeholder="https://openrouter.ai/api/v1", elem_id="compare-url",
                max_lines=1, interactive=True, info="Optional. Its key is read from the environment or the keyring.",
            )  # fmt: skip
            model = gr.Textbox(
                label="Large model: name", elem_id="compare-model", max_lines=1, interactive=True, info="Its name at the API."
            )
            price_in, price_out = frame.price_fields("compare")
        with gr.Row(elem_classes="fields"):
            ceiling = gr.Number(
                None, label="Ceiling (USD)", minimum=0, elem_id="compare-ceiling", interactive=True,
                info="The large model's answers never cost more.",
            )  # fmt: skip
            volume = gr.Number(
                10_000, label="Questions per month", minimum=1, elem_id="compare-volume", interactive=True,
                info="Monthly costs are for this volume.",
            )  # fmt: skip
            server = gr.Number(
                None, label="Your machine (USD per month)", minimum=0, elem_id="compare-server", interactive=True,
                info="Needed for the break-even volume.",
            )  # fmt: skip
        with gr.Accordion("The comparison as YAML", open=False):
            yaml = gr.Textbox(
                label="Comparison", lines=8, max_lines=30, elem_id="compare-yaml", interactive=True,
                info="The file that studio compare takes, with all fields.",
            )  # fmt: skip
        with gr.Row(elem_classes="actions"):
            start = gr.Button("Compare", variant="primary", elem_id="compare-start")
            stop = gr.Button("Stop", elem_id="compare-stop", visible=False)
        state = gr.HTML(elem_id="compare-state", padding=False)
    with gr.Column(elem_classes="card"):
        chosen = gr.Dropdown([], label="Comparison", elem_id="comparison", interactive=True, visible=False)
        links = gr.HTML(NONE, padding=False)
    page = gr.HTML(elem_id="comparison-page", padding=False)
    by_form = gr.State("")
    fields = [run, index, questions, most, passages, url, model, price_in, price_out, ceiling, volume, server]

    def written(*values: Any) -> tuple[str, str]:
        """The form as YAML; half-filled it is none yet."""
        try:
            text = comparison_web.from_form(*values).as_yaml()
        except StudioError:
            return "", ""
        return text, text

    def listed(wanted: str | None) -> tuple[Any, Any, Any]:
        there = answer_comparison.listed(home)
        names = [name for _, name in there]
        value = wanted if wanted in names else names[0] if names else None
        return gr.update(choices=there, value=value, visible=bool(there)), *shown(value)

    def shown(name: str | None) -> tuple[Any, Any]:
        if not name:
            return NONE, ""
        folder = answer_comparison.find(name, home)
        saved = [("Save as a page", f"/download/comparison/{name}/page", False)]
        saved += [("Answers as JSON lines", f"/download/comparison/{name}/answers", False)]
        return parts.links(saved), answer_comparison.body(folder)

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        models, sources, sets = comparison_web.choices(home)
        names = [value for _, value in models]
        task = comparison_web.task(home)
        running = task is not None and task.state == "running"
        return (
            gr.update(choices=models, value=query["run"] if query.get("run") in names else names[0]),
            gr.update(choices=sources, value=""),
            gr.update(choices=sets, value=""),
            working(task, "Starting"), gr.update(active=running), gr.update(visible=running), *listed(query.get("id")),
        )  # fmt: skip

    def starting(text: str | None, by_form: str, *values: Any) -> tuple[Any, Any, Any]:
        # YAML that nobody edited may be older than the form: the click can overtake the form's last change.
        edited = (text or "").strip() not in ("", by_form.strip())
        spec = comparison_web.from_web(text or "", home) if edited else comparison_web.from_form(*values)
        task = comparison_web.begin(comparison_web.checked(spec, home), home)
        return working(task, "Starting"), gr.update(active=True), gr.update(visible=True)

    def look(wanted: str | None) -> tuple[Any, ...]:
        task = comparison_web.task(home)
        running = task is not None and task.state == "running"
        fresh: tuple[Any, ...] = (gr.skip(),) * 3
        if task is not None and task.state == "done":
            comparison_web.forget(home)
            fresh = listed(None)
        return working(task, "Starting"), gr.update(active=running), gr.update(visible=running), *fresh

    def stopping() -> tuple[Any, Any, Any]:
        comparison_web.forget(home)
        return parts.note("Stopped."), gr.update(active=False), gr.update(visible=False)

    progress, result = [state, timer, stop], [chosen, links, page]
    gr.on(None, frame.opened(opened), None, [run, index, questions, *progress, *result], **frame.QUIET)
    gr.on(frame.changed(fields), frame.shows(written), fields, [yaml, by_form], trigger_mode="always_last", **frame.QUIET)
    start.click(frame.act(starting, "comparison.start"), [yaml, by_form, *fields], progress, **frame.ACTION)
    stop.click(frame.act(stopping, "comparison.stop"), None, progress, **frame.ACTION)
    timer.tick(frame.shows(look), [chosen], [*progress, *result], **frame.QUIET, trigger_mode="once")
    chosen.input(frame.shows(shown), [chosen], [links, page], **frame.QUIET)
