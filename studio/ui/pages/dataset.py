"""One dataset: what was found and why, which column is what, findings by row, samples, tokens; rename and delete."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from studio.app import cli_subprocess, file_preview, library, origins
from studio.app.file_preview import FORMATS
from studio.app.fragments import data as show
from studio.app.fragments import parts
from studio.app.library import DatasetVersion
from studio.core.errors import DataError, StudioError
from studio.ui import frame

MOST_ROLES = max(len(form.roles) for form in FORMATS.values())
TITLES = {form.name: form.title for form in FORMATS.values()}
EVERY = 1.0
"""Seconds between two looks at a check that is at work."""
DETECT = "Detect automatically"
NONE = "(none)"


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Data", "Dataset")
    key = gr.Textbox(visible=False)
    missing = gr.HTML(elem_id="missing", padding=False, visible=False)
    timer = gr.Timer(EVERY, active=False)
    with gr.Column(elem_id="dataset-body", elem_classes="page-body") as content:
        with gr.Column(elem_classes="card"):
            name = gr.HTML(elem_id="name", padding=False)
            head = gr.HTML(parts.waiting("Checking every row …"), elem_id="report-head", padding=False)
            stop = gr.Button("Stop", elem_id="stop-check", visible=False)
            onward = gr.HTML(padding=False, elem_id="onward")
        with gr.Column(elem_classes="card"):
            found = gr.HTML(elem_id="found", padding=False)
            with gr.Accordion("Column mapping", open=False, elem_id="mapping") as mapping:
                gr.HTML(parts.note("Change this only if the file was not read correctly."), padding=False)
                layout = gr.Dropdown(
                    [(DETECT, ""), *((form.title, form.name) for form in FORMATS.values())],
                    value="",
                    label="Layout",
                    elem_id="layout",
                    interactive=True,
                )
                with gr.Row():
                    roles = [
                        gr.Dropdown(
                            [NONE],
                            value=NONE,
                            label=f"Role {place + 1}",
                            visible=False,
                            interactive=True,
                            elem_id=f"role-{place}",
                            min_width=200,
                        )
                        for place in range(MOST_ROLES)
                    ]
                further = gr.Textbox(
                    label=library.FURTHER,
                    info="What a message above says to write under data, one a line: header_row: 3, message_order: day_first.",
                    lines=2,
                    elem_id="further",
                    interactive=True,
                )
                raw = gr.HTML(elem_id="raw", padding=False)
                confirm = gr.Button("Apply mapping", variant="primary", elem_id="confirm")
        with gr.Column(elem_classes="card"):
            findings = gr.HTML(elem_id="findings", padding=False)
        with gr.Row(equal_height=False):
            with gr.Column(elem_classes="card"):
                samples = gr.HTML(elem_id="samples", padding=False)
            with gr.Column(elem_classes="card"):
                lengths = gr.HTML(elem_id="lengths", padding=False)
                gr.HTML(
                    parts.section("Tokens", "What the model reads, token by token, and which tokens are trained."),
                    padding=False,
                )
                model = gr.Dropdown(["starter"], value="starter", label="Model", elem_id="token-model", interactive=True)
                look = gr.Button("Show tokens", elem_id="show-tokens")
                tokens = gr.HTML(elem_id="tokens", padding=False)
        with gr.Column(elem_classes="card"):
            gr.HTML(
                parts.section(
                    "Manage", "Versions never change; uploading different content under the same name creates a new one."
                ),
                padding=False,
            )
            with gr.Row(elem_classes="end"):
                title = gr.Textbox(label="Name", elem_id="new-title", max_lines=1, max_length=80, scale=3, interactive=True)
                rename = gr.Button("Rename", elem_id="rename", scale=1, min_width=110)
            users = gr.HTML(elem_id="users", padding=False)
            delete = frame.confirmed("Delete this version", "Delete permanently", "delete")

    def report(item: DatasetVersion) -> tuple[Any, ...]:
        """All that depends on the check of the rows; while it is at work how far it is."""
        ended = gr.update(active=False), gr.update(visible=False)
        try:
            made = library.report(home, item)
        except StudioError as problem:
            return parts.error(problem), "", "", "", "", "", gr.update(open=True), *ended
        if made is None:
            task = library.checking(item)
            return (
                show.checking(task.progress if task else "", item.bytes), "", "", "", "", "", gr.skip(),
                gr.update(active=True), gr.update(visible=True),
            )  # fmt: skip
        onward = [
            ("Train on this dataset", origins.training_page(item), True),
            ("Review and edit rows", f"/desk?key={item.key}", False),
        ]
        return (
            show.head(made), parts.links(onward if made.usable else onward[1:] if made.totals.usable else []),
            show.detected(made, TITLES), show.findings(made), show.samples(made), show.lengths(made),
            gr.update(open=not made.usable), *ended,
        )  # fmt: skip

    def stopping(key: str) -> tuple[Any, ...]:
        library.stop_checking(library.find(home, key))
        return show.stopped(), gr.update(active=False), gr.update(visible=False)

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        try:
            item = library.find(home, query.get("key", ""))
        except DataError:
            lost = frame.missing("No such dataset", "This version may have been deleted.", "/data", "See all datasets")
            return "", "", "", gr.skip(), lost, gr.update(visible=False), ""
        local = [(path.name, str(path)) for path in library.models(home)]
        used = show.users(library.users(home, item))
        return (
            item.key,
            show.heading(item),
            item.title,
            gr.update(choices=[("starter", "starter"), *local]),
            gr.skip(),
            gr.skip(),
            used,
        )

    def checked(key: str) -> tuple[Any, ...]:
        return report(library.find(home, key)) if key else (gr.skip(),) * len(results)

    def raw_rows(key: str) -> str:
        """The first rows as they are in the file."""
        if not key:
            return ""
        try:
            return show.raw_rows(_first(library.find(home, key)))
        except StudioError as problem:
            return parts.error(problem)

    def columns(key: str, form: str) -> list[Any]:
        """A field for every role of the layout."""
        item = library.find(home, key)
        first, wanted = _first(item), FORMATS[form].roles if form else {}
        chosen = item.settings.get("columns", {})
        updates = [
            gr.update(
                visible=True,
                label=role.capitalize() + (" (required)" if role in FORMATS[form].required else ""),
                choices=[NONE, *first.columns],
                value=chosen.get(role) if chosen.get(role) in first.columns else NONE,
            )
            for role in wanted
        ]
        return [*updates, *[gr.update(visible=False, value=NONE)] * (MOST_ROLES - len(updates))]

    def confirming(key: str, form: str, settings: str, *values: str) -> Any:
        item = library.find(home, key)
        names = list(FORMATS[form].roles) if form else []
        mapped = {role: value for role, value in zip(names, values, strict=False) if value and value != NONE}
        return report(library.keep_reading(home, item.key, form, mapped, settings or ""))

    def tokens_of(key: str, name: str) -> str:
        item = library.find(home, key)
        spec = library.spec_of(item)
        if name != "starter" and name not in {str(path) for path in library.models(home)}:
            raise StudioError("this model is not available", hint="Choose one from the list.", where="Model")
        return show.tokens(
            cli_subprocess.preview(
                type(spec).model_validate({**spec.model_dump(exclude_unset=True), "model": {"name": name}}), home
            )
        )

    results = [head, onward, found, findings, samples, lengths, mapping, timer, stop]
    gr.on(None, frame.opened(opened), None, [key, name, title, model, missing, content, users], **frame.QUIET)
    key.change(frame.shows(checked), [key], results, **frame.QUIET)
    timer.tick(frame.shows(checked), [key], results, **frame.QUIET, trigger_mode="once")
    stop.click(frame.act(stopping, "data.stop", 0), [key], [head, timer, stop], **frame.ACTION)
    key.change(frame.shows(raw_rows), [key], [raw], **frame.QUIET)
    key.change(frame.shows(lambda key: _further(home, key)), [key], [further], **frame.QUIET)
    layout.input(frame.shows(columns), [key, layout], roles, **frame.QUIET)
    applied = confirm.click(frame.act(confirming, "data.settings", 0), [key, layout, further, *roles], results, **frame.ACTION)
    applied.success(frame.shows(raw_rows), [key], [raw], **frame.QUIET)
    look.click(frame.shows(tokens_of), [key, model], [tokens], **frame.ACTION)

    def renaming(key: str, title: str) -> str:
        return show.heading(library.rename(home, key, title))

    rename.click(frame.act(renaming, "data.rename", 0), [key, title], [name], **frame.ACTION)
    delete.click(
        frame.act(lambda key: library.delete(home, key) and None, "data.delete", 0), [key], None, **frame.ACTION
    ).success(None, None, None, js="() => { location.href = '/data'; }")


def _further(home: Path, key: str) -> str:
    return library.further_settings(library.find(home, key)) if key else ""


def _first(item: DatasetVersion) -> file_preview.FirstRows:
    """The first rows of a version as its settings read them; a version never changes, so they are read once."""
    return _first_rows(item.files[0], library.settings_of_files(item))


@lru_cache(maxsize=64)
def _first_rows(file: str, settings: str) -> file_preview.FirstRows:
    return file_preview.first_rows(file, settings)
