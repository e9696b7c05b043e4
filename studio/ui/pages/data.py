"""Data: upload files into the library, and the list of what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import library
from studio.app.fragments import data as show
from studio.app.fragments import parts
from studio.core.errors import DataError
from studio.ui import frame

GO = "(key) => { if (key) location.href = '/dataset?key=' + encodeURIComponent(key); }"

PLACEHOLDER = "e.g. Support questions"


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Data", "Data", "What your model learns from. Every row is checked; nothing is dropped without being listed.")
    with gr.Column(elem_classes="card"):
        gr.HTML(
            parts.section("Add a dataset", "Tables, chat logs and texts: CSV, Excel, JSON, Parquet, text; also zipped."),
            padding=False,
        )
        files = gr.File(
            label="Files",
            file_count="multiple",
            file_types=list(library.SUFFIXES),
            elem_id="upload",
            elem_classes="drop",
            height=150,
            interactive=True,
        )
        with gr.Row(elem_classes="end"):
            title = gr.Textbox(
                label="Name",
                placeholder=PLACEHOLDER,
                elem_id="title",
                max_lines=1,
                max_length=80,
                scale=4,
                interactive=True,
            )
            add = gr.Button("Add", variant="primary", elem_id="add", scale=1, min_width=120)
        with gr.Row(elem_classes="end"):
            names = [file.stem for file in library.samples()]
            sample = gr.Dropdown(
                names, value=names[0] if names else None, label="Or try a sample", elem_id="sample", scale=4, interactive=True
            )
            take = gr.Button("Use the sample", elem_id="take", scale=1, min_width=120)
        gr.HTML(
            parts.links(
                [
                    ("Documents: PDF, Word, web pages …", "/documents", False),
                    ("Make data from documents", "/make", False),
                    ("Feedback: corrected answers", "/feedback", False),
                ]
            ),
            padding=False,
        )
    with gr.Column(elem_classes="card"):
        gr.HTML(parts.section("Library"), padding=False)
        listed = gr.HTML(elem_id="library", padding=False)
    key = gr.Textbox(visible=False)

    def adding(paths: list[str] | None, name: str) -> str:
        if not paths:
            raise DataError("no file was selected", hint="Drop one or more files into the field.", where="Files")
        uploads = (home / "ui" / "uploads").resolve()
        given = [(Path(path).name, Path(path)) for path in paths if Path(path).resolve().is_relative_to(uploads)]
        return library.add(home, (name or "").strip() or _plain_name(paths[0]), given).key

    def taking(name: str) -> str:
        file = next((file for file in library.samples() if file.stem == name), None)
        if file is None:
            raise DataError("there is no such sample", hint="Choose one from the list.", where="Sample")
        return library.add(home, file.stem.capitalize(), [(file.name, file)]).key

    def named(paths: list[str] | None) -> Any:
        """The name it gets if none is written; a placeholder, so that it never overwrites what someone is writing."""
        return gr.update(placeholder=_plain_name(paths[0]) if paths else PLACEHOLDER)

    files.change(frame.shows(named), [files], [title], **frame.QUIET)
    add.click(frame.act(adding, "data.add", 1), [files, title], [key], **frame.ACTION).success(None, [key], None, js=GO)
    take.click(frame.act(taking, "data.add", 0), [sample], [key], **frame.ACTION).success(None, [key], None, js=GO)
    gr.on(None, frame.opened(lambda query: show.library(library.versions(home))), None, [listed], **frame.QUIET)


def _plain_name(path: str) -> str:
    return Path(path).name.split(".")[0].replace("_", " ").strip()[:80] or "Dataset"
