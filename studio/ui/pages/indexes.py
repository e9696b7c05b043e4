"""Indexes: build one from documents, see how far it is, stop and resume, search it, remove it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import documents, index_web, indexes
from studio.app.fragments import parts
from studio.app.fragments import retrieval as show
from studio.app.fragments.tasks import working
from studio.core.errors import SpecError
from studio.ui import frame

MODES = [("words and meaning", "fused"), ("words", "words"), ("meaning", "meaning")]


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Data", "Indexes", "Search the passages of documents, so that a model answers from them and cites its sources.")
    timer = gr.Timer(1.0, active=False)
    with gr.Column(elem_classes="card"):
        gr.HTML(
            parts.section("Build an index", "Only new passages are embedded; a build that was stopped resumes where it was."),
            padding=False,
        )
        with gr.Row(elem_classes="fields"):
            collections = gr.Dropdown(
                [], multiselect=True, label="Documents", elem_id="index-collections", interactive=True,
                info="Collections from the page Documents.",
            )  # fmt: skip
            name = gr.Textbox(
                label="Name", placeholder="e.g. handbook", elem_id="index-name", max_lines=1, max_length=60, interactive=True,
                info="An index of that name is brought up to date.",
            )  # fmt: skip
            embedder = gr.Dropdown(
                index_web.embedders(home), value=index_web.AS_BEFORE, label="Embedding model", elem_id="index-embedder",
                allow_custom_value=True, interactive=True,
                info="Finds by meaning as well. Or a hub id, e.g. intfloat/multilingual-e5-small.",
            )  # fmt: skip
            store = gr.Dropdown(
                [
                    ("as the index has it; a new one: a file", index_web.AS_BEFORE),
                    ("a file, up to 200,000 passages", "exact"), ("LanceDB, for more", "lancedb"),
                ],
                value=index_web.AS_BEFORE, label="Vectors", elem_id="index-store", interactive=True,
            )  # fmt: skip
        with gr.Row(elem_classes="actions"):
            start = gr.Button("Build index", variant="primary", elem_id="build-index")
            stop = gr.Button("Stop", elem_id="stop-index", visible=False)
        state = gr.HTML(elem_id="index-state", padding=False)
    with gr.Column(elem_classes="card"):
        gr.HTML(parts.section("Indexes"), padding=False)
        listed = gr.HTML(elem_id="indexes", padding=False)
    with gr.Column(elem_classes="card", visible=False) as one:
        with gr.Row(elem_classes="end"):
            chosen = gr.Dropdown([], label="Index", elem_id="index", interactive=True, min_width=160)
            mode = gr.Dropdown(MODES, value="fused", label="Search by", elem_id="index-mode", interactive=True, min_width=160)
        with gr.Row(elem_classes="end"):
            question = gr.Textbox(
                label="Question", placeholder="May I carry leave into next year?", elem_id="index-question", max_lines=2,
                max_length=1000, scale=4, interactive=True,
            )  # fmt: skip
            search = gr.Button("Search", variant="primary", elem_id="search-index", scale=1, min_width=120)
        found = gr.HTML(elem_id="hits", padding=False)
        gr.HTML(parts.links([("Chat with an index", "/chat", False), ("Compare answers", "/comparison", False)]), padding=False)
        remove = frame.confirmed("Delete this index", "Delete permanently", "delete-index")

    def lists(wanted: str | None) -> tuple[Any, Any, Any]:
        there = indexes.indexes(home)
        names = [item.record.name for item in there]
        value = wanted if wanted in names else names[0] if names else None
        return show.indexes(there), gr.update(choices=names, value=value), gr.update(visible=bool(names))

    def look(wanted: str | None) -> tuple[Any, ...]:
        task = index_web.building(home)
        running = task is not None and task.state == "running"
        if task is not None and task.state == "done":
            wanted = index_web.built(home)
            index_web.forget(home)
        again = (gr.skip(),) * 3 if running else lists(wanted)
        return working(task, "Starting"), gr.update(active=running), gr.update(visible=running), *again

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        known = documents.collections(home)
        wanted = [item.name for item in known if item.name == query.get("collection")]
        picked = gr.update(choices=[(item.title, item.name) for item in known], value=wanted)
        task = index_web.building(home)
        running = task is not None and task.state == "running"
        shown = (working(task, "Starting"), gr.update(active=running), gr.update(visible=running), *lists(query.get("name")))
        return picked, wanted[0] if wanted else "", gr.update(choices=index_web.embedders(home)), *shown

    def starting(collections: list[str], name: str, embedder: str | None, store: str) -> tuple[Any, Any, Any]:
        task = index_web.begin(home, name or "", collections or [], embedder or "", store)
        return working(task, "Starting"), gr.update(active=True), gr.update(visible=True)

    def stopping() -> tuple[Any, Any, Any]:
        index_web.forget(home)
        return parts.note("Stopped. Build it again to resume."), gr.update(active=False), gr.update(visible=False)

    def searching(name: str | None, question: str | None, mode: Any) -> Any:
        if not name or not (question or "").strip():
            raise SpecError("the question is empty", hint="Write what you look for.", where="Question")
        return show.hits(index_web.search(home, name, str(question), mode))

    def removing(name: str | None) -> tuple[Any, ...]:
        _, left = indexes.remove(name or "", home)
        note = parts.note(f"Its vectors are still on {left}, which could not be asked.") if left else ""
        return note, *lists(None)

    refreshed = [listed, chosen, one]
    gr.on(None, frame.opened(opened), None, [collections, name, embedder, state, timer, stop, *refreshed], **frame.QUIET)
    start.click(
        frame.act(starting, "index.build", 1), [collections, name, embedder, store], [state, timer, stop], **frame.ACTION
    )
    stop.click(frame.act(stopping, "index.stop"), None, [state, timer, stop], **frame.ACTION)
    timer.tick(frame.shows(look), [chosen], [state, timer, stop, *refreshed], **frame.QUIET, trigger_mode="once")
    gr.on([search.click, question.submit], frame.shows(searching), [chosen, question, mode], [found], **frame.ACTION)
    remove.click(frame.act(removing, "index.delete", 0), [chosen], [found, *refreshed], **frame.ACTION)
