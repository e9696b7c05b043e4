"""Feedback: the answers that were collected, rated, corrected and flagged here, and added to a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import feedback, library, servers
from studio.app.feedback import Query
from studio.app.fragments import feedback as show
from studio.app.fragments import parts
from studio.core.errors import JobError
from studio.ui import feedback_controls, frame

SHOWN = 10
"""Answers on a page."""
STATES = (
    ("Any", ""), ("Not rated", "unrated"), ("Rated", "rated"), ("Good", "good"), ("Bad", "bad"), ("Corrected", "corrected"),
    ("Flagged", "flagged"),
)  # fmt: skip
KINDS = (
    ("Rows: corrections and good answers", "rows"), ("Labels: good and bad answers", "labels"),
    ("Pairs: a better and a worse answer", "pairs"),
)  # fmt: skip


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Data", "Feedback", "Rate, correct and flag answers, and train on what was learned.")
    with gr.Column(elem_classes="card"):
        gr.HTML(parts.section("What is collected", "Nothing, unless it is turned on."), padding=False)
        collects, turn = feedback_controls.switch(home)
        serving = gr.HTML(elem_id="collecting-servers", padding=False)
    with gr.Column(elem_classes="card"):
        gr.HTML(parts.section("Answers"), padding=False)
        with gr.Row():
            state = gr.Dropdown(list(STATES), value="", label="Feedback", elem_id="feedback-state", interactive=True)
            origin = gr.Dropdown(
                [("Anywhere", ""), *((label, name) for name, label in show.ORIGINS.items())], value="", label="Given in",
                elem_id="feedback-origin", interactive=True,
            )  # fmt: skip
        shown = gr.HTML(parts.waiting("Reading …"), elem_id="feedback-list", padding=False)
        with gr.Row(elem_classes="actions"):
            back = gr.Button("Previous page", elem_id="feedback-back", visible=False)
            onward = gr.Button("Next page", elem_id="feedback-next", visible=False)
            delete = frame.confirmed("Delete these", "Delete all that match", "feedback-delete")
    with gr.Column(elem_classes="card"):
        gr.HTML(
            parts.section(
                "Add to a dataset",
                "A dataset gets them on its desk, to be reviewed before they are saved as its next version. Answers to "
                "held-out questions go into a dataset of their own, for evaluation.",
            ),
            padding=False,
        )
        with gr.Row(elem_classes="end"):
            dataset = gr.Dropdown(
                [],
                label="Dataset, or a new name",
                elem_id="feedback-dataset",
                interactive=True,
                allow_custom_value=True,
                scale=3,
            )
            kind = gr.Dropdown(list(KINDS), value="rows", label="As", elem_id="feedback-as", interactive=True, scale=3)
            add = gr.Button("Add", variant="primary", elem_id="feedback-add", scale=1, min_width=120)
    page, key = gr.State(0), gr.Textbox(visible=False)
    command = feedback_controls.channel()

    def listed(page: int, wanted: str, where: str) -> tuple[Any, ...]:
        query = _query(wanted, where)
        found = feedback.count(query, home)
        page = max(0, min(page, (found - 1) // SHOWN))
        answers = feedback.list_feedback(query, home, page * SHOWN, SHOWN)
        turns = [gr.update(visible=found > SHOWN)] * 2
        return show.answers(answers, page * SHOWN, found), page, *turns

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        names = dict.fromkeys((item.title, item.name) for item in library.versions(home))
        usual = feedback.usual_dataset(home)
        return (
            *feedback_controls.state(home), show.servers(servers.servers(home)), *listed(0, "", ""),
            gr.update(choices=list(names), value=usual or None),
        )  # fmt: skip

    def say(said: str, page: int, wanted: str, where: str) -> tuple[Any, ...]:
        of, opinion, words = feedback_controls.command(said)
        feedback.rate_answer(of, opinion.rating, opinion.correction, opinion.flag, home)
        gr.Info(words)
        return listed(page, wanted, where)

    def deleted(wanted: str, where: str) -> tuple[Any, ...]:
        count = feedback.delete_older(-1, home, _query(wanted, where))
        gr.Info(f"Deleted: {count:,}. Rows that were made of them stay in their datasets.")
        return listed(0, wanted, where)

    def added(name: str | None, into: Any) -> str:
        if not (name or "").strip():
            raise JobError("no dataset was named", hint="Choose one, or write the name of a new one.", where="Dataset")
        done = feedback.feedback_dataset(str(name).strip(), into, home=home)
        for reason in done.left_out[:3]:
            gr.Warning(f"Left out: {reason}")
        return done.key

    filters, view = [state, origin], [shown, page, back, onward]
    gr.on(None, frame.opened(opened), None, [collects, turn, serving, *view, dataset], **frame.QUIET)
    feedback_controls.bind(turn, collects, home)
    gr.on(
        [state.input, origin.input], frame.shows(lambda *values: listed(0, *values)), filters, view,
        trigger_mode="always_last", **frame.QUIET,
    )  # fmt: skip
    for button, step in ((back, -1), (onward, 1)):

        def turned(at: int, *values: str, step: int = step) -> tuple[Any, ...]:
            return listed(at + step, *values)

        button.click(frame.shows(turned), [page, *filters], view, **frame.QUIET)
    command.change(
        frame.act(say, "answers.rate"),
        [command, page, *filters],
        view,
        trigger_mode="multiple",
        concurrency_limit=1,
        **frame.QUIET,
    )
    delete.click(frame.act(deleted, "feedback.delete"), filters, view, **frame.ACTION)
    add.click(frame.act(added, "feedback.use", 0), [dataset, kind], [key], **frame.ACTION).success(
        None, [key], None, js="(key) => { if (key) location.href = '/desk?status=added&key=' + encodeURIComponent(key); }"
    )


def _query(state: str, origin: str) -> Query:
    return Query(state=state if state in dict(STATES).values() else "", origin=origin or "")  # type: ignore[arg-type]
