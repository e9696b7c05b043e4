"""Fragments of the first page: the path in four steps, the machine, the disk."""

from __future__ import annotations

from typing import Any

from studio.core.text import size
from studio.ui.fragments.parts import badge, facts, section, text


def steps(path: list[Any]) -> str:
    """The four steps; the first one not done is the next."""
    ahead = next((place for place, step in enumerate(path) if not step.done), -1)
    items = ""
    for place, step in enumerate(path):
        kind = "done" if step.done else "next" if place == ahead else ""
        mark = "✓" if step.done else str(place + 1)
        button = "link-button" if kind == "next" else "link-button plain"
        unseen = '<span class="unseen">Done: </span>' if step.done else ""
        items += (
            f'<li class="{kind}"><span class="mark" aria-hidden="true">{mark}</span><h3>{unseen}{text(step.title)}</h3>'
            f'<p>{text(step.text)}</p><div><a class="{button}" href="{text(step.link)}">{text(step.label)}</a></div></li>'
        )
    return f'<ol class="steps">{items}</ol>'


def machine(found: Any, findings: list[Any]) -> str:
    """What this machine is, and what is wrong with it with the fix."""
    gpu = found.gpu
    rows = [("Trains on", f"{gpu.name}, {size(gpu.total)}" if gpu else "the CPU: no usable graphics card")]
    if gpu:
        rows.append(("Card memory free", size(gpu.free)))
    rows += [
        ("Processor", f"{found.cpu}, {found.cores} cores"),
        ("Memory", f"{size(found.ram_free)} free of {size(found.ram)}"),
        ("Disk free", size(found.disk_free)),
    ]
    wrong = [item for item in findings if item.ok is False]
    problems = "".join(
        f'<div class="notice warn"><p>{text(item.name)}: {text(item.found)}</p><p class="hint">{text(item.fix)}</p></div>'
        for item in wrong
    )
    state = badge("ready", "good") if not wrong else badge(f"{len(wrong)} to look at", "warn")
    return f'{section("This machine")}<p class="note">{state}</p>{facts(rows)}{problems}'


def disk(used: dict[str, int]) -> str:
    """What takes how much disk."""
    labels = {"datasets": "Datasets", "runs": "Runs", "models": "Local models", "free": "Free"}
    return section("Disk") + facts([(label, size(used[name])) for name, label in labels.items()])
