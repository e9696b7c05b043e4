"""Fragments of measurements: how far one is, its table, its pictures."""

from __future__ import annotations

from typing import Any

from studio.serving.measure import figures, page
from studio.ui.fragments.parts import empty, error, notice, progress, section, sentence, table, text, when

NONE = empty(
    "Nothing measured yet",
    "Choose a run, its exports or an API above: all are asked the same questions, and stand in one table with their quality.",
)


def label(result: Any) -> str:
    """A measurement in a line."""
    names = ", ".join(item.name for item in result.items)
    state = "" if result.state == "done" else f" · {result.state}"
    return f"{when(result.begun)} · {names or 'nothing yet'}{state}"


def working(result: Any | None, work: Any | None) -> str:
    """How far the running one is, or why the last one could not begin."""
    if result is not None and result.state == "running":
        told = result.progress
        if not told:
            return progress(0, 0, "Beginning")
        streams = told.get("streams")
        what = told["what"] if not streams else "1 stream" if streams == 1 else f"{streams} streams at once"
        at = f"{told['item'] + 1} of {told['of']}"
        return progress(told["done"], told["total"], f"{told['name']} ({at}), {what}")
    if work is not None and work.state == "running":
        return progress(0, 0, "Beginning")
    if work is not None and work.state == "failed" and work.error:
        return error(work.error)
    return ""


def shown(result: Any) -> str:
    """The table and the pictures of a measurement."""
    if not result.items:
        return '<p class="note">Nothing is measured yet.</p>'
    head = section("Side by side")
    if result.state == "interrupted":
        head += notice("Interrupted: what was measured until then.", tone="warn")
    rows = [tuple(text(cell) for cell in row) for row in figures.rows(result)]
    whole = _narrow(table(figures.HEADER, rows, "Everything measured", figures.RIGHT))
    levels = [tuple(text(cell) for cell in row) for row in figures.level_rows(result)]
    each = _narrow(table(figures.LEVELS, levels, "By number of streams", figures.LEVELS_RIGHT))
    link = f'<div class="links" style="margin-top:14px"><a class="link-button plain" href="/download/bench/{text(result.id)}" download>Download as a page</a></div>'
    ended = link if result.state != "running" else ""
    return (
        f'{head}{whole}<div class="charts" style="margin-top:20px">{page.charts(result)}</div>'
        f"<details><summary>By number of streams</summary>{each}</details>"
        f"<details><summary>How it was measured, and how to read it</summary>{page.told(result)}</details>{ended}"
    )


def sent(host: str, rows: int) -> str:
    """What leaves this machine."""
    told = sentence(f"the questions, {rows} at most, are sent to {host}")
    return notice(told, "Choose a file of questions that may leave this machine with the command: --prompts FILE.", "warn")


def _narrow(html: str) -> str:
    return html.replace('class="table-holder"', 'class="table-holder narrow"', 1)
