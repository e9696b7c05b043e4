"""Disk space: what takes how much, by kind; and deleting what nothing needs, after it was listed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.app import quota, upkeep
from studio.app.fragments import admin as show
from studio.app.fragments import parts
from studio.core.errors import JobError
from studio.core.text import plural, size
from studio.ui import frame

KINDS = {
    "checkpoints": "Checkpoints of finished runs",
    "failed exports": "Exports that failed",
    "W&B cache": "Caches",
    "leftovers": "Leftovers of interrupted writes",
    "notes of ended servers": "Notes of ended servers",
    "exports": "Exports that can be made again",
    "models": "Models that nothing names",
    "damaged": "Damaged files that were set aside",
}
"""Kinds of what can be deleted, as the page calls them; the last three are not chosen from the start."""


def build(home: Path) -> None:
    """Lay the page out."""
    import gradio as gr

    frame.top("Settings", "Disk space", "What takes disk space, and what can be deleted without a loss.")
    with gr.Column(elem_classes="card"):
        gr.HTML(parts.section("In use"), padding=False)
        use = gr.HTML(elem_id="disk-use", padding=False)
    with gr.Column(elem_classes="card"):
        gr.HTML(
            parts.section("Delete", "Adapters, reports, datasets and what a run still needs always stay."),
            padding=False,
        )
        kinds = gr.CheckboxGroup([], label="Kinds", elem_id="disk-kinds", interactive=True)
        listed = gr.HTML(elem_id="disk-listed", padding=False)
        delete = frame.confirmed("Delete", "Delete what is listed", "disk-delete")

    def opened(query: dict[str, str]) -> tuple[Any, ...]:
        return _page(home)

    def chosen(names: list[str]) -> Any:
        return show.unneeded(_items(home, names), home)

    def deleting(names: list[str]) -> tuple[Any, ...]:
        items = _items(home, names)
        if not items:
            raise JobError("nothing is chosen that is there", hint="Choose one or more kinds.", where="Disk space")
        freed = upkeep.clean(items)
        quota.forget(home)
        gr.Info(f"{plural(len(items), 'item')} deleted, {size(freed)} freed.")
        return _page(home)

    outputs = [use, kinds, listed]
    gr.on(None, frame.opened(opened), None, outputs, **frame.QUIET)
    kinds.input(frame.shows(chosen), [kinds], [listed], **frame.QUIET)
    delete.click(frame.act(deleting, "disk.clean", 0), [kinds], outputs, **frame.ACTION)


def _items(home: Path, names: list[str] | None) -> list[upkeep.Unneeded]:
    return [item for item in upkeep.find_unneeded(home, upkeep.OPTIONAL) if item.kind in (names or ())]


def _page(home: Path) -> tuple[Any, ...]:
    """What takes space, the kinds there are with their sizes, and what is chosen from the start."""
    import gradio as gr

    items = upkeep.find_unneeded(home, upkeep.OPTIONAL)
    sizes: dict[str, int] = {}
    for item in items:
        sizes[item.kind] = sizes.get(item.kind, 0) + item.bytes
    choices = [(f"{label} ({size(sizes[kind])})", kind) for kind, label in KINDS.items() if kind in sizes]
    wanted = [kind for _, kind in choices if kind not in upkeep.OPTIONAL]
    return (
        show.use(upkeep.disk_use(home), quota.bounds(home)),
        gr.update(choices=choices, value=wanted, visible=bool(choices)),
        show.unneeded([item for item in items if item.kind in wanted], home),
    )
