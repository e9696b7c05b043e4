"""Fragments of a plan: whether it fits, memory by part, time, what was decided and why."""

from __future__ import annotations

import base64

from markupsafe import Markup

from studio.app.fragments.parts import badge, details, empty, figures, joined, notice, number, sentence, table
from studio.core.html import Fragments
from studio.core.text import duration, size
from studio.runs.plan import MemoryEstimate, PlanRecord

_html = Fragments("studio.app", "plan.html")
COLOURS = (
    *("var(--line-1)", "var(--line-2)", "var(--line-3)", "var(--line-4)", "var(--line-5)", "var(--line-6)"),
    *("#8a8f9c", "#b08968", "#6b7fd7", "#9aa5b1", "#c08497", "#5e7161"),
)


def card(plan: PlanRecord) -> Markup:
    """The plan as a card."""
    fits = badge("fits", "good") if plan.fits else badge("does not fit", "bad")
    counts, time = plan.counts, plan.time
    span = f"{duration(time.low)} to {duration(time.high)}" if time and time.high else "–"
    tokens = f"{'about ' if counts.estimated else ''}{counts.tokens:,} tokens"
    kpis = figures(
        [
            ("Memory", size(plan.memory.total), ""),
            ("Training time", span, "plus evaluation and exports"),
            ("Steps", f"{counts.steps:,}", f"{counts.rows:,} rows"),
            ("Held out", f"{counts.held_out:,}", tokens),
        ]
    )
    warnings = [notice(sentence(warning)) for warning in plan.warnings]
    rest = joined(memory(plan.memory), alternatives(plan), decided(plan), small_print(plan))
    return _html("card", fits, plan.machine, kpis, warnings, rest)


def memory(estimate: MemoryEstimate) -> Markup:
    """The predicted memory as one bar of its parts."""
    items = [item for item in estimate.items if item.bytes]
    total = sum(item.bytes for item in items) or 1
    parts = [
        {
            "name": item.name,
            "size": size(item.bytes),
            "share": 100 * item.bytes / total,
            "colour": COLOURS[index % len(COLOURS)],
            "why": item.why,
        }
        for index, item in enumerate(items)
    ]
    rows = [(_html("memory_part", part["name"], part["colour"]), part["size"], part["why"]) for part in parts]
    listed = table(("Part", "Size", "What it is"), rows, "Memory by part", (1,))
    return joined(_html("memory_bar", parts), details("Memory by part", listed))


def decided(plan: PlanRecord) -> Markup:
    """Every decision with its reason and what otherwise."""
    rows = [
        (_html("mono", item.field), number(item.value), _html("decision", item.reason, item.otherwise))
        for item in plan.decisions
    ]
    if not rows:
        return Markup("")
    return details(f"Decisions of the plan ({len(rows)})", table(("Field", "Value", "Reason"), rows, "Decisions"))


def alternatives(plan: PlanRecord) -> Markup:
    """What would fit instead."""
    rows = [(item.change, size(item.bytes), item.cost) for item in plan.alternatives]
    if not rows:
        return Markup("")
    return joined(_html("memory_title"), table(("Change", "Memory", "What it means"), rows, "What would fit", (1,)))


def small_print(plan: PlanRecord) -> Markup:
    """The plan's own summary, line by line."""
    return details("In words", _html("lines", plan.summary)) if plan.summary else Markup("")


def waiting(missing: str, hint: str) -> Markup:
    """What is missing before a plan can be made."""
    return empty(missing, hint)


def yaml_link(yaml_text: str, name: str) -> Markup:
    """A link that saves the YAML as a file."""
    return _html("yaml_link", name, base64.b64encode(yaml_text.encode()).decode())
