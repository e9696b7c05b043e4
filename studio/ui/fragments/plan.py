"""Fragments of a plan: whether it fits, memory by part, time, what was decided and why."""

from __future__ import annotations

from typing import Any

from studio.core.text import duration, size
from studio.ui.fragments.parts import badge, figures, notice, number, sentence, table, text

COLOURS = (
    *("var(--line-1)", "var(--line-2)", "var(--line-3)", "var(--line-4)", "var(--line-5)", "var(--line-6)"),
    *("#8a8f9c", "#b08968", "#6b7fd7", "#9aa5b1", "#c08497", "#5e7161"),
)


def card(plan: dict[str, Any]) -> str:
    """The plan as a card."""
    fits = badge("fits", "good") if plan["fits"] else badge("does not fit", "bad")
    on = f"on {plan['machine']}"
    counts, time = plan["counts"], plan.get("time") or {}
    span = f"{duration(time['low'])} to {duration(time['high'])}" if time.get("high") else "–"
    tokens = f"{'about ' if counts.get('estimated') else ''}{counts['tokens']:,} tokens"
    kpis = figures(
        [
            ("Memory", size(plan["memory"]["total"]), ""),
            ("Training time", span, ""),
            ("Steps", f"{counts['steps']:,}", f"{counts['rows']:,} rows"),
            ("Held out", f"{counts['held_out']:,}", tokens),
        ]
    )
    warnings = "".join(notice(sentence(warning)) for warning in plan["warnings"])
    return (
        f'<div class="verdict">{fits}<span>{text(on)}</span></div><div style="margin:14px 0">{kpis}</div>{warnings}'
        f"{memory(plan['memory'])}{alternatives(plan)}{decided(plan)}{small_print(plan)}"
    )


def memory(found: dict[str, Any]) -> str:
    """The predicted memory as one bar of its parts."""
    parts = [item for item in found["items"] if item["bytes"]]
    total = sum(item["bytes"] for item in parts) or 1
    bar = "".join(
        f'<span style="width:{100 * item["bytes"] / total:.3f}%;background:{COLOURS[place % len(COLOURS)]}" '
        f'title="{text(item["name"])}: {size(item["bytes"])}"></span>'
        for place, item in enumerate(parts)
    )
    rows = [
        (
            f'<i style="display:inline-block;width:10px;height:10px;border-radius:3px;background:{COLOURS[place % len(COLOURS)]}"></i> '
            + text(item["name"]),
            text(size(item["bytes"])),
            text(item.get("why", "")),
        )
        for place, item in enumerate(parts)
    ]
    return (
        f'<div class="stack" role="img" aria-label="Memory by part">{bar}</div>'
        f"<details><summary>Memory by part</summary>{table(('Part', 'Size', 'What it is'), rows, 'Memory by part', (1,))}</details>"
    )


def decided(plan: dict[str, Any]) -> str:
    """Every decision with its reason and what otherwise."""
    rows = [
        (
            f'<span class="mono">{text(item["field"])}</span>',
            text(number(item["value"])),
            text(item["reason"]) + (f"<br><small>{text(item['otherwise'])}</small>" if item.get("otherwise") else ""),
        )
        for item in plan["decisions"]
    ]
    if not rows:
        return ""
    return f"<details><summary>What was decided for you ({len(rows)})</summary>{table(('Field', 'Value', 'Because'), rows, 'Decisions')}</details>"


def alternatives(plan: dict[str, Any]) -> str:
    """What would fit instead."""
    found = plan.get("alternatives") or []
    if not found:
        return ""
    rows = [(text(item["change"]), text(size(item["bytes"]))) for item in found]
    return "<h3 class='section'>What would fit</h3>" + table(("Change", "Memory"), rows, "What would fit", (1,))


def small_print(plan: dict[str, Any]) -> str:
    """The plan's own summary, line by line."""
    lines = "".join(f"<li>{text(line)}</li>" for line in plan.get("summary") or [])
    return f"<details><summary>In words</summary><ul>{lines}</ul></details>" if lines else ""


def waiting(missing: str, hint: str) -> str:
    """What is missing before a plan can be made."""
    return f'<div class="empty"><h2>{text(missing)}</h2><p>{text(hint)}</p></div>'


def yaml_link(yaml_text: str, name: str) -> str:
    """A link that saves the YAML as a file."""
    import base64

    data = base64.b64encode(yaml_text.encode()).decode()
    return f'<a class="link-button plain" download="{text(name)}.yaml" href="data:application/yaml;base64,{data}">Save as a file</a>'
