"""Export: make a verified model of a run, download it, push it, copy the command that serves it.

A row for every kind of export the targets list, with the settings they declare.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studio.app import damage, exports, runs, toolchains
from studio.app.fragments import exports as show
from studio.app.fragments import parts
from studio.app.runs import Run
from studio.core.errors import JobError
from studio.core.fields import Leaf
from studio.ui import form, frame

NONE = parts.empty("Nothing to export yet", "A run that has trained an adapter can be exported.", "/train", "Plan a run")


@dataclass
class Row:
    """A kind of export on the page."""

    kind: str
    summary: str
    settings: list[Leaf]
    about: Any = None
    boxes: list[Any] = field(default_factory=list)
    make: Any = None
    install: Any = None

    def lay_out(self) -> None:
        """What it is and takes, what can be done, settings."""
        import gradio as gr

        with gr.Column(elem_classes="target", elem_id=f"to-{self.kind}"):
            with gr.Row(equal_height=False, elem_classes="head"):
                self.about = gr.HTML(show.target(self.kind, self.summary), elem_id=f"about-{self.kind}", padding=False)
                self.make = gr.Button("Export", elem_id=f"make-{self.kind}", visible=False, scale=0, min_width=104)
                self.install = gr.Button("Install", elem_id=f"install-{self.kind}", visible=False, scale=0, min_width=104)
            if self.settings:
                with (
                    gr.Accordion("Settings", open=False, elem_id=f"settings-{self.kind}"),
                    gr.Row(elem_classes="fields"),
                ):
                    self.boxes = [frame.box(leaf, f"{self.kind}-{leaf.path}") for leaf in self.settings]

    def changed(self, texts: tuple[Any, ...]) -> dict[str, Any]:
        """What its boxes ask for."""
        return form.changed_among(self.settings, texts)

    def estimate(self, run: Run, texts: tuple[Any, ...]) -> list[Any]:
        """What it takes with these settings, and which of its buttons helps."""
        import gradio as gr

        found = exports.estimate(run, self.kind, self.changed(texts))
        told = show.target(self.kind, self.summary, found)
        return [told, gr.update(visible=not found.missing and not found.refused), gr.update(visible=bool(found.toolchain))]

    @property
    def shown(self) -> list[Any]:
        """The components `estimate` fills."""
        return [self.about, self.make, self.install]


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    rows = [Row(kind, exports.summary(section), exports.settings(section)) for kind, section in exports.kinds().items()]
    frame.top("Export", "Export", "Every export is loaded in the runtime that will serve it and compared with the tuned model.")
    with gr.Row(equal_height=False):
        with gr.Column(scale=6, min_width=320):
            with gr.Column(elem_classes="card"):
                run = gr.Dropdown([], label="Run", elem_id="run", interactive=True)
                none = gr.HTML(padding=False, visible=False)
                working = gr.HTML(elem_id="working", padding=False, visible=False)
            with gr.Column(elem_classes="card targets"):
                gr.HTML(parts.section("New export", "Choose an export target. Sizes are for this run's model."), padding=False)
                deploy = gr.Checkbox(
                    False,
                    label="With deployment files",
                    info="For serving on another machine: compose files, commands, checksums, instructions.",
                    elem_id="deploy",
                    interactive=True,
                )
                for row in rows:
                    row.lay_out()
        with gr.Column(scale=5, min_width=320):
            with gr.Column(elem_classes="card"):
                made = gr.HTML(elem_id="made", padding=False)
            push = _push(home, run)
    timer, seen, installed = gr.Timer(2), gr.State(None), gr.State(())
    every = [control for row in rows for control in row.boxes]

    def opened(query: dict[str, str], *texts: object) -> tuple[Any, ...]:
        found = [item for item in runs.list_runs(home) if (item.folder.adapter / "adapter_config.json").exists()]
        wanted = next((item for item in found if item.id == query.get("id")), found[0] if found else None)
        if query.get("id") and (wanted is None or wanted.id != query["id"]):
            gr.Warning("No run of this id has a trained adapter. Choose another.")
        listed = gr.update(
            choices=[(f"{item.title} · {item.id}", item.id) for item in found], value=wanted.id if wanted else None
        )
        return listed, _or_nothing("" if found else NONE), *chosen(wanted.id if wanted else "", *texts)

    def chosen(run_id: str, *texts: object) -> tuple[Any, ...]:
        if not run_id:
            return (gr.skip(),) * (3 * len(rows) + 5)
        return *now(run_id, None), *estimates(run_id, *texts)

    def estimates(run_id: str, *texts: object) -> tuple[Any, ...]:
        rest, filled = list(texts), []
        for row in rows:
            own, rest = tuple(rest[: len(row.boxes)]), rest[len(row.boxes) :]
            filled += row.estimate(_one(run_id, home), own)
        return tuple(filled)

    def now(run_id: str, before: tuple[object, ...] | None) -> tuple[Any, ...]:
        if not run_id:
            return (gr.skip(),) * 5
        run = _one(run_id, home)
        artifacts = exports.list_exports(run)
        done = tuple(item.name for item in toolchains.installations(home) if item.state == "done")
        damaged = [parts.notice(item.sentence(home), item.hint) for item in damage.of_run(run.folder)]
        there = parts.joined(show.artifacts(run.id, artifacts), *damaged)
        fresh = (show.working(exports.running_tasks(run, home)), there, done)
        if fresh == before:
            return (gr.skip(),) * 5
        ready = [item.artifact.folder for item in artifacts if item.artifact.verification.passed is not False]
        listed = gr.update(choices=ready) if before and before[1] == fresh[1] else gr.update(choices=ready, value=_first(ready))
        return _or_nothing(fresh[0]), fresh[1], fresh, done, listed

    changing = [working, made, seen, installed, push]
    shown = [part for row in rows for part in row.shown]
    gr.on(None, frame.opened(opened), every, [run, none, *changing, *shown], **frame.QUIET)
    run.input(frame.shows(chosen), [run, *every], [*changing, *shown], **frame.QUIET)
    timer.tick(frame.shows(now), [run, seen], changing, trigger_mode="once", **frame.QUIET)
    installed.change(frame.shows(estimates), [run, *every], shown, **frame.QUIET)
    again = {"fn": frame.shows(now), "inputs": [run, seen], "outputs": changing, **frame.QUIET}
    for row in rows:
        sized, making, installing = _handlers(row, home)
        if row.boxes:
            events = frame.changed(row.boxes)
            gr.on(events, frame.shows(sized), [run, *row.boxes], row.shown, trigger_mode="always_last", **frame.QUIET)
        row.make.click(frame.act(making, "export.make", 0), [run, deploy, *row.boxes], None, **frame.ACTION).success(**again)
        row.install.click(frame.act(installing, "export.install", 0), [run, *row.boxes], None, **frame.ACTION).success(**again)


def _handlers(row: Row, home: Path) -> tuple[Any, Any, Any]:
    """What happens when a row's fields change, when it is to be made, and when what it needs is to be installed."""

    def sized(run_id: str, *texts: object) -> list[Any]:
        return row.estimate(_one(run_id, home), texts)

    def making(run_id: str, deploy: bool, *texts: object) -> None:
        exports.begin(_one(run_id, home), row.kind, row.changed(texts), home, bool(deploy))

    def installing(run_id: str, *texts: object) -> None:
        toolchains.begin_install(exports.estimate(_one(run_id, home), row.kind, row.changed(texts)).toolchain, home)

    return sized, making, installing


def _push(home: Path, run: Any) -> Any:
    """The part that uploads an export to the hub; the list of exports, which the page fills."""
    import gradio as gr

    with gr.Column(elem_classes="card"):
        gr.HTML(
            parts.section(
                "Upload to the Hugging Face Hub", "One commit, from this machine, with the token stored in Settings."
            ),
            padding=False,
        )
        export = gr.Dropdown([], label="Export", elem_id="push-export", interactive=True)
        name = gr.Textbox(
            label="Repository", placeholder="user/name", max_lines=1, elem_id="push-name", info="Created if it does not exist.",
            interactive=True,
        )  # fmt: skip
        public = gr.Checkbox(
            False, label="Public", info="Anyone can see it. Otherwise the repository is private.", elem_id="push-public",
            interactive=True,
        )  # fmt: skip
        look = gr.Button("Preview upload", elem_id="push-look")
        told = gr.HTML(elem_id="push-told", padding=False, visible=False)
        go = gr.Button("Upload", variant="primary", elem_id="push", visible=False)

    def looking(run_id: str, folder: str, repository: str, seen: bool) -> tuple[Any, Any]:
        found = exports.prepare_push(_one(run_id, home), folder or "", (repository or "").strip(), bool(seen))
        return _or_nothing(show.upload(found)), gr.update(visible=True)

    def pushing(run_id: str, folder: str, repository: str, seen: bool) -> tuple[Any, Any]:
        exports.begin_push(_one(run_id, home), folder or "", (repository or "").strip(), bool(seen), home)
        return _or_nothing(parts.waiting("Uploading. Its progress is shown below the run.")), gr.update(visible=False)

    given = [run, export, name, public]
    look.click(frame.act(looking, "export.push", 0), given, [told, go], **frame.ACTION)
    go.click(frame.act(pushing, "export.push", 0), given, [told, go], **frame.ACTION)
    changes = [run.input, export.input, name.input, public.input]
    gr.on(changes, frame.shows(lambda: (_or_nothing(""), gr.update(visible=False))), None, [told, go], **frame.QUIET)
    return export


def _or_nothing(html: str) -> Any:
    """A part of the page that takes no space while it is empty."""
    import gradio as gr

    return gr.update(value=html, visible=bool(html))


def _first(names: list[str]) -> str | None:
    return names[0] if names else None


def _one(run_id: str, home: Path) -> Run:
    for run in runs.list_runs(home):
        if run.id == run_id:
            return run
    raise JobError("there is no such run", hint="Choose one from the list.", where=str(run_id or "")[:80])
