"""Documents: drop files in, see each page beside its passages, leave pages out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import documents
from studio.app.fragments import documents as show
from studio.app.fragments import parts
from studio.core.errors import DataError
from studio.ui import downloads, frame


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top(
        "Data",
        "Documents",
        "Turn handbooks, papers, slides and web pages into passages, for training rows and for answers with citations.",
    )
    name, document = gr.Textbox(visible=False), gr.Textbox(visible=False)
    timer = gr.Timer(1.0, active=False)
    with gr.Column(elem_classes="card"):
        gr.HTML(
            parts.section(
                "Add documents",
                "PDF, Word, PowerPoint, HTML, Markdown, EPUB, text; also zipped. Unchanged documents are not read again.",
            ),
            padding=False,
        )
        files = gr.File(
            label="Files", file_count="multiple", file_types=list(documents.SUFFIXES), elem_id="document-files",
            elem_classes="drop", height=150, interactive=True,
        )  # fmt: skip
        with gr.Row(elem_classes="end"):
            title = gr.Textbox(
                label="Collection", placeholder="e.g. Staff handbook", elem_id="collection-title", max_lines=1, max_length=60,
                scale=4, interactive=True,
            )  # fmt: skip
            add = gr.Button("Add", variant="primary", elem_id="add-documents", scale=1, min_width=120)
        state = gr.HTML(elem_id="reading", padding=False)
    with gr.Column(elem_classes="card"):
        gr.HTML(parts.section("Collections"), padding=False)
        listed = gr.HTML(elem_id="collections", padding=False)
    with gr.Column(elem_classes="card", visible=False) as one:
        heading = gr.HTML(padding=False)
        inside = gr.HTML(elem_id="documents", padding=False)
        to_index = gr.HTML(padding=False)
        remove = frame.confirmed("Delete this collection", "Delete permanently", "delete-collection")
    with gr.Column(elem_classes="card", visible=False, elem_id="viewer") as viewer:
        about = gr.HTML(elem_id="document-about", padding=False)
        with gr.Row(elem_classes="end"):
            number = gr.Number(1, label="Page", minimum=1, precision=0, elem_id="page-number", interactive=True, min_width=100)
            left_out = gr.Textbox(
                label="Pages left out", placeholder="none; e.g. 3, 5-7", elem_id="left-out", max_lines=1, interactive=True,
                min_width=160,
            )  # fmt: skip
            save = gr.Button("Save", elem_id="save-left-out", min_width=100)
        page = gr.HTML(elem_id="page", padding=False)

    def adding(paths: list[str] | None, title: str) -> tuple[Any, Any]:
        if not paths:
            raise DataError("no file was selected", hint="Drop one or more files into the field.", where="Files")
        uploads = (home / "ui" / "uploads").resolve()
        given = [Path(path) for path in paths if Path(path).resolve().is_relative_to(uploads)]
        title = (title or "").strip() or Path(paths[0]).stem.replace("_", " ")[:60]
        return show.adding(documents.begin_adding(home, title, given)), gr.update(active=True)

    def look() -> tuple[Any, Any, Any]:
        task = documents.adding(home)
        running = task is not None and task.state == "running"
        said = show.added(documents.added(home)) if task is not None and task.state == "done" else show.adding(task)
        if task is not None and not running:
            documents.forget_adding(home)
        return said, gr.update(active=running), show.collections(documents.collections(home))

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        task = documents.adding(home)
        start = show.adding(task), gr.update(active=task is not None), show.collections(documents.collections(home))
        wanted = query.get("name", "")
        if not wanted:
            return (*start, "", "", gr.skip(), "", "", "", gr.skip(), "", "")
        collection = documents.find(wanted, home)
        ways = [("Build an index", f"/indexes?collection={collection.name}", True), ("Make rows", "/make", False)]
        shown = (gr.update(visible=True), parts.section(collection.title), show.documents(collection), parts.links(ways))
        if not query.get("document"):
            return (*start, collection.name, "", *shown, gr.skip(), "", "")
        record = collection.document(query["document"])
        return (
            *start, collection.name, record.name, *shown, gr.update(visible=True),
            parts.joined(parts.section(record.title, record.name), show.document(record)), ", ".join(map(str, record.excluded)),
        )  # fmt: skip

    def turned(name: str, document: str, number: float) -> Any:
        if not name or not document:
            return ""
        collection = documents.find(name, home)
        record = collection.document(document)
        wanted = min(max(int(number or 1), 1), max(record.pages, 1))
        pages = {item.number: item for item in collection.pages(record.name)}
        if wanted not in pages:
            return parts.note("The document has no pages.")
        passages = [item for item in collection.passages(record.name) if not record.has_pages or item.page == wanted]
        picture = downloads.picture_address(collection, record, wanted) if record.kind == ".pdf" else ""
        return show.page(picture, pages[wanted], passages)

    def saving(name: str, document: str, pages: str, number: float) -> tuple[Any, Any, Any]:
        record = documents.exclude(name, document, documents.pages_of(pages or ""), home)
        head = parts.joined(parts.section(record.title, record.name), show.document(record))
        return head, show.documents(documents.find(name, home)), turned(name, document, number)

    results = [state, timer, listed, name, document, one, heading, inside, to_index, viewer, about, left_out]
    gr.on(None, frame.opened(opened), None, results, **frame.QUIET)
    document.change(frame.shows(turned), [name, document, number], [page], **frame.QUIET)
    number.change(frame.shows(turned), [name, document, number], [page], **frame.QUIET)
    add.click(frame.act(adding, "documents.add", 1), [files, title], [state, timer], **frame.ACTION)
    timer.tick(frame.shows(look), None, [state, timer, listed], **frame.QUIET, trigger_mode="once")
    save.click(
        frame.act(saving, "documents.edit", 0), [name, document, left_out, number], [about, inside, page], **frame.ACTION
    )
    remove.click(
        frame.act(lambda name: documents.remove(name, home=home), "documents.delete", 0), [name], None, **frame.ACTION
    ).success(None, None, None, js="() => { location.href = '/documents'; }")
