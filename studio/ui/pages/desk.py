"""The desk of a dataset version: its rows page by page, an editor, the keyboard, bulk actions, versions and what differs.

studio.js puts what a person does in the table and the editor into one hidden field as JSON; `command` does it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import curation, library, model_catalog, origins
from studio.app.curation import Desk, Query
from studio.app.fragments import desk as show
from studio.app.fragments import parts
from studio.app.library import DatasetVersion
from studio.core.errors import DataError
from studio.ui import desk_actions, frame

ROWS = 25
"""Rows on a page."""
EVERY = 1.0
"""Seconds between two looks at rows that are being read."""
STATUSES = (
    ("Any status", ""),
    ("To review", "open"),
    ("Approved", "approved"),
    ("Excluded", "excluded"),
    ("Edited", "edited"),
    ("From feedback", "added"),
)
ANY = "Any finding"


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Data", "Desk", "Review every row, correct what is wrong, and save the result as a version to train on.")
    key, place = gr.Textbox(visible=False), gr.State({"page": 0, "row": 0})
    missing = gr.HTML(elem_id="missing", padding=False, visible=False)
    timer, clock = gr.Timer(EVERY, active=False), gr.Timer(EVERY, active=False)
    with gr.Column(elem_classes="page-body", elem_id="desk-body") as content:
        with gr.Column(elem_classes="card"):
            head = gr.HTML(parts.waiting("Opening the desk …"), elem_id="desk-head", padding=False)
            progress = gr.HTML(elem_id="desk-progress", padding=False)
            stop = gr.Button("Stop", elem_id="desk-stop", visible=False)
        with gr.Row(equal_height=False, elem_id="desk"):
            with gr.Column(scale=5, min_width=320, elem_classes="card"):
                with gr.Row(elem_classes="desk-filters"):
                    check = gr.Dropdown(
                        [(ANY, "")], value="", label="Finding", elem_id="desk-check", interactive=True, min_width=180
                    )
                    status = gr.Dropdown(
                        list(STATUSES), value="", label="Status", elem_id="desk-status", interactive=True, min_width=140
                    )
                    text = gr.Textbox(
                        label="Search",
                        placeholder="Words in a row",
                        elem_id="desk-text",
                        max_lines=1,
                        interactive=True,
                        min_width=160,
                    )
                table = gr.HTML(elem_id="desk-table", padding=False)
                with gr.Row(elem_classes="actions"):
                    back = gr.Button("Previous page", elem_id="desk-back")
                    onward = gr.Button("Next page", elem_id="desk-next")
                    undo = gr.Button("Undo", elem_id="desk-undo")
                with gr.Accordion("For all matching rows", open=False, elem_id="desk-bulk"):
                    gr.HTML(
                        parts.note("Applies to every row that matches the filters, on all pages. One Undo reverts it."),
                        padding=False,
                    )
                    with gr.Row(elem_classes="actions"):
                        bulk = [
                            gr.Button(label, elem_id=f"bulk-{name}")
                            for name, label in (
                                ("approve", "Approve all"), ("exclude", "Exclude all"), ("mask", "Mask personal data"),
                                ("last", "Keep the last answers"),
                            )
                        ]  # fmt: skip
            with gr.Column(scale=4, min_width=320, elem_classes="card desk-side"):
                editor = gr.HTML(elem_id="desk-editor", padding=False)
        with gr.Column(elem_classes="card"):
            gr.HTML(
                parts.section(
                    "Rows read by a model",
                    "A base model reads each answer, with its question and without. Wrong or misplaced answers are often "
                    "among those that it finds least likely. Names of people are looked for by a model that you choose.",
                ),
                padding=False,
            )
            with gr.Row(elem_classes="end"):
                model = gr.Dropdown(
                    [(item.label, item.name) for item in model_catalog.models(home) if item.fits is not False],
                    value="starter", label="Base model", elem_id="desk-model", scale=4, interactive=True,
                    allow_custom_value=True,
                )  # fmt: skip
                score = gr.Button("Score rows", elem_id="desk-score", scale=1, min_width=140)
                halt = gr.Button("Stop", elem_id="desk-halt", visible=False, scale=1, min_width=100)
            with gr.Row(elem_classes="end"):
                finder = gr.Textbox(
                    label="Model that finds names of people", placeholder="A token-classification model: hub id or folder",
                    elem_id="desk-names", max_lines=1, scale=4, interactive=True,
                )  # fmt: skip
                look = gr.Button("Find names", elem_id="desk-find-names", scale=1, min_width=140)
            scored = gr.HTML(elem_id="desk-scoring", padding=False)
        with gr.Column(elem_classes="card"):
            gr.HTML(
                parts.section("Versions", "A version never changes. A run keeps the version it was started with."),
                padding=False,
            )
            listed = gr.HTML(elem_id="desk-versions", padding=False)
            with gr.Row(elem_classes="end"):
                why = gr.Textbox(
                    label="What changed", placeholder="e.g. contradictions settled, personal data masked", elem_id="desk-why",
                    max_lines=1, max_length=200, scale=4, interactive=True,
                )  # fmt: skip
                write = gr.Button("Save version", variant="primary", elem_id="desk-write", scale=1, min_width=140)
            only = gr.Checkbox(label="Only approved rows", value=False, elem_id="desk-only", interactive=True)
        with gr.Column(elem_classes="card"):
            gr.HTML(parts.section("Compare versions", "Rows added, removed and changed, with the words marked."), padding=False)
            with gr.Row(elem_classes="end"):
                other = gr.Dropdown([], label="Compare with", elem_id="desk-other", interactive=True, scale=3)
                compare = gr.Button("Compare", elem_id="desk-compare", scale=1, min_width=120)
            differs = gr.HTML(elem_id="desk-differences", padding=False)
    command = gr.Textbox(elem_id="desk-command", elem_classes="channel", label="Command", interactive=True)
    written = gr.Textbox(visible=False)

    filters = [check, status, text]
    view = [progress, table, editor, place]

    def item_of(dataset_key: str) -> DatasetVersion:
        return library.find(home, dataset_key)

    def looked(desk: Desk, query: Query, page: int, row: int, keep_index: int | None = None) -> list[Any]:
        """The page as it is now. keep_index: which of its rows is selected if `row` is not on it."""
        found = desk.count(query)
        page = max(0, min(page, (found - 1) // ROWS))
        rows = list(desk.rows(query, page * ROWS, ROWS))
        if rows and row not in [item.number for item in rows]:
            row = rows[min(keep_index or 0, len(rows) - 1)].number
        chosen = next((item for item in rows if item.number == row), None)
        shown = _editor(desk, chosen.number) if chosen else ""
        return [
            show.progress(desk.progress()), show.rows(rows, row, found, page * ROWS), shown, {"page": page, "row": row},
        ]  # fmt: skip

    def opened(query: dict[str, str]) -> list[Any]:
        try:
            item = item_of(query.get("key", ""))
        except DataError:
            lost = frame.missing("No such dataset", "This version may have been deleted.", "/data", "See all datasets")
            return ["", "", "", lost, gr.update(visible=False), *[gr.update()] * 4]
        versions, asked = library.versions_of(item), query.get("check", "")
        wanted = query.get("status", "") if query.get("status") in dict(STATUSES).values() else ""
        others = [(f"v{other.number}", other.key) for other in reversed(versions) if other.key != item.key]
        first = next(
            (value for _, value in others if value.endswith(item.record.parent or "-")), others[0][1] if others else None
        )
        return [
            item.key, show.heading(item), show.versions(versions, item), gr.skip(), gr.skip(),
            gr.update(value=asked, choices=[(ANY, ""), *([(asked, asked)] if asked else [])]),
            gr.update(value=wanted), gr.update(choices=others, value=first), gr.update(active=True),
        ]  # fmt: skip

    def read(dataset_key: str, *filter_values: str) -> list[Any]:
        """The rows, once they are read; before that how far they are."""
        if not dataset_key:
            return [gr.skip()] * (len(view) + 3)
        desk = curation.ready_desk(item_of(dataset_key), home)
        if not isinstance(desk, Desk):
            return [show.reading(desk), gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.update(), gr.update(visible=True)]
        with desk:
            choices = _findings(desk)
            known = {value for _, value in choices}
            asked = filter_values[0] if filter_values[0] in known else ""
            shown = looked(desk, desk_actions.query(asked, *filter_values[1:]), 0, 0)
            return [*shown, gr.update(choices=choices, value=asked), gr.update(active=False), gr.update(visible=False)]

    def filtered(dataset_key: str, *filter_values: str) -> list[Any]:
        with _open(item_of(dataset_key), home) as desk:
            return looked(desk, desk_actions.query(*filter_values), 0, 0)

    def turned(step: int) -> Any:
        def turn(dataset_key: str, at: dict[str, int], *filter_values: str) -> list[Any]:
            with _open(item_of(dataset_key), home) as desk:
                return looked(desk, desk_actions.query(*filter_values), at["page"] + step, 0)

        return turn

    def commanded(dataset_key: str, at: dict[str, int], said: str, *filter_values: str) -> list[Any]:
        """Do what was done in the table or the editor: `{"do": "approve", "row": 12}`."""
        wish = desk_actions.command(said)
        query, row = desk_actions.query(*filter_values), int(wish["row"])
        with _open(item_of(dataset_key), home) as desk:
            numbers = [item.number for item in desk.rows(query, at["page"] * ROWS, ROWS)]
            index = numbers.index(row) if row in numbers else 0
            if wish["do"] == "show":
                return [gr.skip(), gr.skip(), _editor(desk, row), {**at, "row": row}]
            if wish["do"] in ("next", "back"):
                return looked(
                    desk, query, at["page"] + (1 if wish["do"] == "next" else -1), 0, 0 if wish["do"] == "next" else ROWS
                )
            batch = desk_actions.done(desk, wish, row)
            desk_actions.say(batch, wish["do"] == "undo")
            after = numbers[index + 1] if wish["do"] in ("approve", "exclude") and index + 1 < len(numbers) else row
            return looked(desk, query, at["page"], after, index)

    def for_all(name: str) -> Any:
        def do(dataset_key: str, at: dict[str, int], *filter_values: str) -> list[Any]:
            query = desk_actions.query(*filter_values)
            with _open(item_of(dataset_key), home) as desk:
                every = query if query else Query(every=True)
                batch = (
                    desk.approve(every) if name == "approve" else desk.exclude(every) if name == "exclude"
                    else desk.mask(every) if name == "mask" else desk.keep_answers("last", query if query else None)
                )  # fmt: skip
                desk_actions.say(batch, False)
                return looked(desk, query, at["page"], at["row"])

        return do

    def undone(dataset_key: str, at: dict[str, int], *filter_values: str) -> list[Any]:
        with _open(item_of(dataset_key), home) as desk:
            desk_actions.say(desk.undo(), True)
            return looked(desk, desk_actions.query(*filter_values), at["page"], at["row"])

    def saved(dataset_key: str, words: str, only_approved: bool) -> str:
        with _open(item_of(dataset_key), home) as desk:
            return curation.write_version(desk, only_approved, (words or "").strip()).key

    def begun(dataset_key: str, base: str) -> list[Any]:
        curation.begin_scoring(item_of(dataset_key), base or "starter", home)
        return reads(dataset_key)

    def begun_names(dataset_key: str, by: str) -> list[Any]:
        curation.begin_names(item_of(dataset_key), (by or "").strip(), home)
        return reads(dataset_key)

    def reads(dataset_key: str) -> list[Any]:
        return [show.model_reading(curation.reading_of(item_of(dataset_key))), gr.update(active=True), gr.update(visible=True)]

    def halted(dataset_key: str) -> list[Any]:
        curation.end_reading(item_of(dataset_key))
        return [show.model_reading(None), gr.update(active=False), gr.update(visible=False)]

    def scoring(dataset_key: str, at: dict[str, int], *filter_values: str) -> list[Any]:
        """How far the model is; once it is done, its findings among the others."""
        item = item_of(dataset_key)
        task = curation.reading_of(item)
        if task is not None and task.state == "running":
            return [show.model_reading(task), gr.skip(), gr.skip(), gr.skip()]
        curation.end_reading(item)
        ended = [gr.update(active=False), gr.update(visible=False)]
        if task is None or task.error is not None:
            return [show.model_reading(task), gr.skip(), *ended]
        with _open(item, home) as desk:
            return [show.model_reading(task, desk.findings()), gr.update(choices=_findings(desk)), *ended]

    def compared(dataset_key: str, other_key: str | None) -> Any:
        if not other_key:
            raise DataError("there is no other version", hint="Save a new version first.", where="Compare")
        before, after = sorted((item_of(other_key), item_of(dataset_key)), key=lambda item: item.number)
        return show.difference(curation.compare(before, after), before, after)

    gr.on(None, frame.opened(opened), None, [key, head, listed, missing, content, check, status, other, timer], **frame.QUIET)
    timer.tick(frame.shows(read), [key, *filters], [*view, check, timer, stop], **frame.QUIET, trigger_mode="once")
    stop.click(
        frame.act(lambda dataset_key: _stop(item_of(dataset_key)), "desk.stop", 0),
        [key],
        [progress, timer, stop],
        **frame.ACTION,
    )
    for event in (check.input, status.input, text.submit, text.blur):
        event(frame.shows(filtered), [key, *filters], view, **frame.QUIET)
    for button, step in ((back, -1), (onward, 1)):
        button.click(frame.shows(turned(step)), [key, place, *filters], view, **frame.QUIET)
    command.change(
        frame.act(commanded, "desk.edit", 0),
        [key, place, command, *filters],
        view,
        **frame.QUIET,
        trigger_mode="multiple",
        concurrency_limit=1,
    )
    for button in bulk:
        name = str(button.elem_id).removeprefix("bulk-")
        button.click(frame.act(for_all(name), "desk.edit", 0), [key, place, *filters], view, **frame.ACTION)
    undo.click(frame.act(undone, "desk.edit", 0), [key, place, *filters], view, **frame.ACTION)
    write.click(frame.act(saved, "desk.save", 0), [key, why, only], [written], **frame.ACTION).success(
        None, [written], None, js=frame.go_to("/desk?key=")
    )
    score.click(frame.act(begun, "desk.score", 0), [key, model], [scored, clock, halt], **frame.ACTION)
    look.click(frame.act(begun_names, "desk.score", 0), [key, finder], [scored, clock, halt], **frame.ACTION)
    clock.tick(frame.shows(scoring), [key, place, *filters], [scored, check, clock, halt], **frame.QUIET, trigger_mode="once")
    halt.click(frame.act(halted, "desk.stop", 0), [key], [scored, clock, halt], **frame.ACTION)
    compare.click(frame.shows(compared), [key, other], [differs], **frame.ACTION)


def _findings(desk: Desk) -> list[tuple[str, str]]:
    """The findings to choose from, with the rows of each that nobody has decided about."""
    left = desk.left()
    named = [(finding.check, left.get(finding.check, 0)) for finding in desk.findings()]
    return [(ANY, ""), *((f"{check.replace('_', ' ')} ({count:,} to review)", check) for check, count in named)]


def _open(item: DatasetVersion, home: Path) -> Desk:
    desk = curation.ready_desk(item, home)
    if not isinstance(desk, Desk):
        raise DataError("the rows are still being read", hint="Wait a moment.", where=item.title)
    return desk


def _stop(item: DatasetVersion) -> tuple[Any, Any, Any]:
    import gradio as gr

    curation.stop_reading(item)
    return (
        parts.notice("Stopped: the rows were not read.", "Reload the page to continue.", "warn"),
        gr.update(active=False),
        gr.update(visible=False),
    )


def _editor(desk: Desk, number: int) -> Any:
    row = desk.row(number)
    others = [item for item in desk.same_question(row) if item.id != row.id and item.content.answer != row.content.answer]
    findings = {item.check: item for item in desk.findings()}
    return show.editor(row, others[:5], curation.mask_preview(row, desk.item), findings, origins.of_row(desk, row))
