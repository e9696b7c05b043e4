"""Fragments of the first page: the path in four steps, the machine, the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from studio.app.fragments.parts import badge, facts, joined, note, notice, section
from studio.core.html import Fragments
from studio.core.text import size

if TYPE_CHECKING:
    from studio.hardware.machine import Machine

_html = Fragments("studio.app", "home.html")


def steps(path: list[Any]) -> Markup:
    """The four steps; the first one not done is the next."""
    ahead = next((index for index, step in enumerate(path) if not step.done), -1)
    items: list[tuple[object, ...]] = []
    for index, step in enumerate(path):
        kind = "done" if step.done else "next" if index == ahead else ""
        mark = "✓" if step.done else str(index + 1)
        items.append((step, kind, mark, "link-button" if kind == "next" else "link-button plain"))
    return _html("steps", items)


def machine(report: Machine, findings: list[Any]) -> Markup:
    """What this machine is, and what is wrong with it with the fix."""
    gpu = report.gpu
    rows = [("Trains on", f"{gpu.name}, {size(gpu.total)}" if gpu else "the CPU: no usable GPU")]
    if gpu:
        rows.append(("GPU memory free", size(gpu.free)))
    rows += [
        ("Processor", f"{report.cpu}, {report.cores} cores"),
        ("Memory", f"{size(report.ram_free)} free of {size(report.ram)}"),
    ]
    wrong = [item for item in findings if item.ok is False]
    problems = [notice(f"{item.name}: {item.found}", item.fix) for item in wrong]
    state = badge("ready", "good") if not wrong else badge(f"{len(wrong)} to look at", "warn")
    return joined(section("This machine"), note(state), facts(rows), *problems)


def disk(used: dict[str, int]) -> Markup:
    """How much disk space what takes."""
    labels = {"datasets": "Datasets", "runs": "Runs", "models": "Local models", "free": "Free"}
    return joined(section("Disk space"), facts([(label, size(used[name])) for name, label in labels.items()]))
