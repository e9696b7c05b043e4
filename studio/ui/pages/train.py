"""Train: choose data and a model, see the plan, change what you like, start. The form is made from the spec's own fields."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio import spec as specs
from studio.app import library, model_catalog, run_form, runs
from studio.app.fragments import parts
from studio.app.fragments import plan as show
from studio.app.run_form import PlanRecord
from studio.core.errors import JobError, SpecError, StudioError
from studio.core.fields import Leaf
from studio.core.text import slug
from studio.spec import RunSpec
from studio.ui import form, frame

HERE = "This machine"
GO = "(id) => { if (id) location.href = '/run?id=' + encodeURIComponent(id); }"
PLANS_AT_ONCE = 4
"""Plans of all pages at once; one that a newer form has overtaken ends without planning."""
SETTLE = 0.5
"""Seconds a change is waited out before a plan is made: more changes may follow."""


@dataclass
class Newest:
    """The number of the newest form of a page that a plan was asked for."""

    number: int = 0


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top(
        "Train",
        "Train",
        "Choose data and a model. The plan chooses every other setting, with reasons, and you can change each one.",
    )
    fields = form.fields()
    with gr.Row(equal_height=False, elem_classes="train"):
        with gr.Column(scale=5, min_width=340):
            with gr.Column(elem_classes="card"):
                name = gr.Textbox(label="Name", value="run", max_lines=1, max_length=80, elem_id="name", interactive=True)
                data = gr.Dropdown(
                    [], multiselect=True, label="Dataset", elem_id="data", interactive=True, allow_custom_value=True,
                    info="One or several from your library.",
                )  # fmt: skip
                model = gr.Dropdown(
                    ["starter"], value="starter", label="Base model", elem_id="model", interactive=True,
                    allow_custom_value=True,
                    info="The starter, a model on this machine, a known one, or any hub id such as Qwen/Qwen3-4B.",
                )  # fmt: skip
            boxes = _form(fields)
            with gr.Column(elem_classes="card"):
                exports = gr.CheckboxGroup(
                    form.exports(), label="Exports", elem_id="exports", interactive=True,
                    info="Each is verified in the runtime that will serve it. You can also export later, on the page Export.",
                )  # fmt: skip
        with gr.Column(scale=4, min_width=340, elem_classes="side"):
            with gr.Column(elem_classes="card"):
                gr.HTML(parts.section("Plan"), padding=False)
                card = gr.HTML(
                    show.waiting("Choose a dataset", "The plan appears here, before it starts."),
                    elem_id="plan",
                    padding=False,
                )
                gpu = gr.Dropdown(
                    [HERE, *model_catalog.gpus()], value=HERE, label="Plan for", elem_id="gpu", interactive=True,
                    info="Plan for another GPU. The run still trains on this machine.",
                )  # fmt: skip
                start = gr.Button("Start", variant="primary", elem_id="start")
            with gr.Column(elem_classes="card"), gr.Accordion("As YAML", open=False, elem_id="yaml-part"):
                text = gr.Code(
                    language="yaml", label="The spec as YAML", elem_id="yaml", interactive=True, lines=8, max_lines=24
                )
                with gr.Row(elem_classes="end"):
                    use = gr.Button("Use this text", elem_id="use-yaml", min_width=120)
                    load = gr.UploadButton("Load a file", file_types=[".yaml", ".yml"], elem_id="load-yaml", min_width=120)
                save = gr.HTML(elem_id="save-yaml", padding=False)
    started, plan, newest = gr.Textbox(visible=False), gr.State(None), gr.State(Newest())
    everything = [name, model, data, exports, *boxes]

    def draft(title: str, base: str, rows: list[str], targets: list[str], *values: str) -> RunSpec:
        return run_form.build(
            title or "", base or "", rows or [], form.changed(values), [json.loads(item) for item in targets or []], home
        )

    def written(*values: Any) -> tuple[Any, Any]:
        """The YAML of the form, at once."""
        try:
            spec = draft(*values)
        except StudioError:
            return gr.skip(), gr.skip()
        text = specs.dump_asked(spec)
        return text, show.yaml_link(text, slug(spec.name))

    def planned(newest: Newest, card_name: str, *values: Any) -> Iterator[list[Any]]:
        """The plan card, and the plan for the fields to show. A wrong field keeps its own message: no field is touched then.

        A plan that comes late, when a newer form was asked about already, shows nothing.
        """
        newest.number += 1
        number = newest.number
        try:
            spec = draft(*values)
        except SpecError as problem:
            if not values[2]:
                yield [show.waiting("Choose a dataset", problem.hint), gr.skip()]
            else:
                yield [_wrong(problem), gr.skip()]
            return
        yield [parts.waiting("Planning …"), gr.skip()]
        time.sleep(SETTLE)
        if number != newest.number:
            return
        try:
            made = run_form.plan(spec, home, "" if card_name == HERE else card_name)
        except StudioError as problem:
            if number == newest.number:
                yield [_wrong(problem), gr.skip()]
            return
        if number == newest.number:
            yield [show.card(made), made.as_json()]  # Gradio hashes what a State holds, and a record cannot be hashed

    def starting(*values: Any) -> Any:
        """Start it; or say on the plan card, with the field's name, what is missing or wrong."""
        try:
            return run_form.start(draft(*values), home).id, gr.skip()
        except StudioError as problem:
            gr.Warning(str(parts.toast(_named(problem))), title="Not started")
            return frame.NotDone(("", _wrong(problem)))

    def shown(spec: RunSpec) -> list[Any]:
        """Every component as a spec has it."""
        targets = [form.export_choice(target.model_dump()) for target in spec.export]
        extra = [item for item in targets if item not in form.exports()]
        return [
            spec.name, spec.model.name, gr.update(value=run_form.data_keys(spec, home), choices=_datasets(home)),
            gr.update(value=[value for _, value in targets], choices=[*form.exports(), *extra]), *form.values_of(spec),
        ]  # fmt: skip

    def opened(query: dict[str, str]) -> list[Any]:
        models = gr.update(choices=[(item.label, item.name) for item in model_catalog.models(home)])
        datasets = gr.update(choices=_datasets(home), value=[query["data"]] if query.get("data") else [])
        if query.get("again"):
            try:
                again = runs.find(query["again"], home)
            except JobError as problem:
                gr.Warning(str(parts.toast(problem)), title="Not filled in")
                return ["run", models, datasets, gr.skip(), *[gr.skip()] * len(boxes)]
            filled = shown(again.folder.asked_spec())
            return [filled[0], gr.update(value=filled[1], choices=models["choices"]), *filled[2:]]
        title = library.find(home, query["data"]).title if query.get("data") else "run"
        held_out = library.find(home, query["holdout"]).reference if query.get("holdout") else gr.skip()
        settings = [held_out if form.spec_path(leaf) == "data.holdout" else gr.skip() for leaf in fields]
        return [title, models, datasets, gr.skip(), *settings]

    loaded = gr.on(None, frame.opened(opened), None, everything, **frame.QUIET)
    plan_now = {"fn": frame.stream(planned), "inputs": [newest, gpu, *everything], "outputs": [card, plan], **frame.QUIET}
    write_now = {"fn": frame.shows(written), "inputs": everything, "outputs": [text, save], **frame.QUIET}
    filled = [loaded.success]
    for event in (
        use.click(frame.shows(lambda text: shown(run_form.read_yaml(text or "", home))), [text], everything, **frame.ACTION),
        load.upload(
            frame.shows(lambda path: shown(run_form.read_yaml(_text_of(path), home))), [load], everything, **frame.ACTION
        ),
    ):
        filled.append(event.success)
    changes = frame.changed([gpu, model, data, exports, name, *boxes])
    gr.on([*changes], **write_now, trigger_mode="always_last")
    gr.on([*changes], **plan_now, trigger_mode="multiple", concurrency_limit=PLANS_AT_ONCE)
    for success in filled:
        success(**write_now)
        success(**plan_now)
    plan.change(frame.shows(lambda record: _decided(fields, PlanRecord.from_json(record))), [plan], boxes, **frame.QUIET)
    start.click(frame.act(starting, "run.start", 0), everything, [started, card], **frame.ACTION).success(
        None, [started], None, js=GO
    )


def _form(fields: Sequence[Leaf]) -> list[Any]:
    """The generated fields by section, those for experts folded away; in the order of `fields`."""
    import gradio as gr

    made: dict[str, Any] = {}
    for section, title in form.TITLES.items():
        own = [leaf for leaf in fields if form.section_of(leaf) == section]
        if not own:
            continue
        simple, advanced = [leaf for leaf in own if not leaf.ui.advanced], [leaf for leaf in own if leaf.ui.advanced]
        with gr.Column(elem_classes="card"):
            gr.HTML(parts.section(title), padding=False)
            with gr.Row(elem_classes="fields"):
                made.update({leaf.path: _box(leaf) for leaf in simple})
            if advanced:
                with gr.Accordion("More", open=False, elem_id=f"more-{section}"), gr.Row(elem_classes="fields"):
                    made.update({leaf.path: _box(leaf) for leaf in advanced})
    _choices_bring_fields(fields, made)
    return [made[leaf.path] for leaf in fields]


def _box(leaf: Leaf) -> Any:
    """A field's control; one that belongs to a choice is seen only where it is the default."""
    brings = form.chooser(leaf)
    first = brings is None or next(item.default for item in form.fields() if item.path == brings[0]) == brings[1]
    return frame.box(leaf, leaf.path.replace(".", "-"), visible=first)


def _choices_bring_fields(fields: Sequence[Leaf], boxes: dict[str, Any]) -> None:
    """A method that is chosen shows its own fields, and hides the others'."""
    import gradio as gr

    for chosen in {brings[0] for leaf in fields if (brings := form.chooser(leaf))}:
        own = [leaf for leaf in fields if (form.chooser(leaf) or ("",))[0] == chosen]
        kinds = [(form.chooser(leaf) or ("", ""))[1] for leaf in own]

        def shown(kind: str, kinds: list[str] = kinds) -> list[Any]:
            return [gr.update(visible=kind == of) for of in kinds]

        boxes[chosen].change(frame.shows(shown), [boxes[chosen]], [boxes[leaf.path] for leaf in own], **frame.QUIET)


def _decided(fields: Sequence[Any], plan: PlanRecord) -> list[Any]:
    """For each field what the plan decided, or its own words again."""
    import gradio as gr

    found = {item.field: item for item in plan.decisions}
    updates = []
    for leaf in fields:
        item = found.get(form.spec_path(leaf))
        if not leaf.optional:
            updates.append(gr.skip())
        elif item is None:
            plain: dict[str, Any] = (
                {"choices": form.choices(leaf)} if form.is_choice(leaf) else {"placeholder": form.placeholder(leaf)}
            )
            updates.append(gr.update(info=form.help_of(leaf), **plain))
        else:
            told = f"{form.help_of(leaf)} Decided: {item.reason}."
            new: dict[str, Any] = (
                {"choices": form.choices(leaf, item.value)}
                if form.is_choice(leaf)
                else {"placeholder": form.to_text(leaf, item.value)}
            )
            updates.append(gr.update(info=told, **new))
    return updates


def _wrong(problem: StudioError) -> str:
    """An error for the plan card, and for the field it is at: studio.js puts it there too."""
    places = {form.spec_path(leaf): leaf.path.replace(".", "-") for leaf in form.fields()} | {
        "data.train": "data",
        "model.name": "model",
        "name": "name",
    }
    return parts.at_field(places.get(problem.where, ""), parts.error(_named(problem)), f"{problem.message}. {problem.hint}")


def _named(problem: StudioError) -> StudioError:
    """An error at a field's dotted path, with the field's label instead."""
    labels = {form.spec_path(leaf): leaf.label for leaf in form.fields()} | {
        "data.train": "Dataset",
        "model.name": "Base model",
        "name": "Name",
    }
    return type(problem)(problem.message, hint=problem.hint, where=labels.get(problem.where, problem.where))


def _datasets(home: Path) -> list[tuple[str, str]]:
    return [(f"{item.title} v{item.number}", item.key) for item in library.versions(home)]


def _text_of(path: object) -> str:
    file = Path(str(path))
    if file.stat().st_size > 1 << 20:
        raise SpecError("this file is too large for a spec", hint="A spec is a short YAML file.", where=file.name)
    return file.read_text(encoding="utf-8-sig", errors="replace")
