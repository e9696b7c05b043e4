"""Runs: all of them by pages, the queue, and the way to compare some."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from studio.app import overview, queue
from studio.app.fragments import parts
from studio.app.fragments import runs as show
from studio.app.queue import Waiting
from studio.core.errors import JobError
from studio.ui import frame

GO = "(where) => { if (where) location.href = where; }"


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Runs", "Runs", "Runs continue without this page. One run uses the device at a time; the rest are queued.")
    with gr.Column(elem_classes="card"):
        wanted = gr.Textbox(
            label="Filter", placeholder="name, model, data, state, tag …", elem_id="filter", max_lines=1, interactive=True
        )
        table = gr.HTML(elem_id="runs", padding=False)
        with gr.Row(elem_classes="actions", visible=False, elem_id="pager") as pager:
            previous = gr.Button("Newer runs", elem_id="newer")
            following = gr.Button("Older runs", elem_id="older")
    with gr.Column(elem_classes="card", visible=False, elem_id="queue") as card:
        gr.HTML(parts.section("Queue", "The first run starts as soon as the device is free."), padding=False)
        waiting = gr.Radio([], label="Waiting, in order", elem_id="waiting", interactive=True)
        with gr.Row(elem_classes="actions"):
            up = gr.Button("Move up", elem_id="up")
            down = gr.Button("Move down", elem_id="down")
            cancel = gr.Button("Cancel", variant="stop", elem_id="cancel")
    with gr.Column(elem_classes="card"):
        gr.HTML(
            parts.section("Compare", "Curves in one chart, the settings that differ, the evidence side by side."),
            padding=False,
        )
        with gr.Row(elem_classes="end"):
            chosen = gr.Dropdown(
                [], multiselect=True, max_choices=6, label="Two to six runs", elem_id="chosen", interactive=True, scale=4
            )
            compare = gr.Button("Compare", elem_id="compare", scale=1)
    where, seen, order, page = gr.Textbox(visible=False), gr.State(""), gr.State([]), gr.State(1)

    def shown(query: dict[str, str]) -> tuple[Any, ...]:
        rows = overview.rows(home)
        html = show.overview(rows)
        choices = [(f"{row.name} · {row.id}", row.id) for row in rows]
        return html, gr.update(choices=choices), _digest(html), gr.update(visible=len(rows) > show.PER_PAGE)

    def turned(words: str, number: int, by: int) -> int:
        """The page of the table to show next."""
        return min(max(1, number + by), show.pages(len(show.matching(overview.rows(home), words or ""))))

    def filtered(words: str, chosen: str | None, before: str, lines: list[Any], number: int) -> tuple[Any, ...]:
        """What changed since the last time, and nothing else: the table, the queue."""
        rows = overview.rows(home)
        html, now = show.overview(rows, words or "", number), show.waiting(rows)
        pager = gr.update(visible=len(show.matching(rows, words or "")) > show.PER_PAGE)
        table = (gr.skip(),) * 3 if _digest(html) == before else (html, _digest(html), pager)
        if now == lines:
            return *table, gr.skip(), gr.skip(), gr.skip()
        still = chosen if any(chosen == run for _, run in now) else None
        return *table, gr.update(visible=bool(now)), gr.update(choices=now, value=still), now

    def moving(run: str | None, by: int) -> None:
        queue.move(*_moved(queue.order(home), run, by), home)

    def cancelling(run: str | None) -> None:
        queue.cancel(_moved(queue.order(home), run, 0)[0], home)
        gr.Info("Cancelled. The run keeps its folder; resume it from its page.")

    def comparing(ids: list[str]) -> str:
        if not 2 <= len(ids or []) <= 6:
            raise JobError("choose two to six runs", hint="Add them in the field beside the button.", where="Compare")
        return f"/compare?runs={','.join(ids)}"

    look = {
        "fn": frame.shows(filtered),
        "inputs": [wanted, waiting, seen, order, page],
        "outputs": [table, seen, pager, card, waiting, order],
    }
    gr.on(None, frame.opened(shown), None, [table, chosen, seen, pager], **frame.QUIET).success(**look, **frame.QUIET)
    wanted.input(frame.shows(lambda: 1), None, [page], **frame.QUIET).success(**look, **frame.QUIET)
    for button, by in ((previous, -1), (following, 1)):
        turning = frame.shows(lambda words, number, by=by: turned(words, number, by))
        button.click(turning, [wanted, page], [page], **frame.QUIET).success(**look, **frame.QUIET)
    gr.Timer(3).tick(**look, **frame.QUIET)
    up.click(frame.act(lambda run: moving(run, -1), "run.move", 0), [waiting], None, **frame.ACTION).success(
        **look, **frame.QUIET
    )
    down.click(frame.act(lambda run: moving(run, 1), "run.move", 0), [waiting], None, **frame.ACTION).success(
        **look, **frame.QUIET
    )
    cancel.click(frame.act(cancelling, "run.cancel", 0), [waiting], None, **frame.ACTION).success(**look, **frame.QUIET)
    compare.click(frame.shows(comparing), [chosen], [where], **frame.ACTION).success(None, [where], None, js=GO)


def _moved(order: list[Waiting], run: str | None, by: int) -> tuple[str, int]:
    """A waiting run and the position it gets. Raises JobError if none is chosen, or it began meanwhile."""
    if not run:
        raise JobError("no run is chosen", hint="Choose one of the waiting runs first.", where="Queue")
    for item in order:
        if item.run == run:
            return run, item.position + by
    raise JobError("this run is no longer queued", hint="See its page.", where="Queue")


def _digest(html: str) -> str:
    """What a session remembers of what its page shows."""
    return hashlib.sha256(html.encode()).hexdigest()
