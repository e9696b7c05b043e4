"""Fragments of benchmarks: how far one is, its table, its charts."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from studio.app.benchmark_results import figures, page
from studio.app.fragments.parts import (
    details,
    empty,
    error,
    joined,
    links,
    note,
    notice,
    progress,
    section,
    sentence,
    table,
    when,
)
from studio.benchmark.result import Result

NONE = empty(
    "No benchmark yet",
    "Choose a run, its exports or an API above. All answer the same questions, and one table compares speed and quality.",
)


def label(result: Result) -> str:
    """A benchmark in a line."""
    names = ", ".join(item.name for item in result.items)
    state = "" if result.state == "done" else f" · {result.state}"
    return f"{when(result.begun)} · {names or 'nothing yet'}{state}"


def working(result: Result | None, work: Any | None) -> Markup:
    """How far the running one is, or why the last one could not start."""
    if result is not None and result.state == "running":
        now = result.progress
        if now is None:
            return progress(0, 0, "Starting")
        return progress(now.done, now.total, f"{now.name} ({now.item + 1} of {now.of}), {now.words}")
    if work is not None and work.state == "running":
        return progress(0, 0, "Starting")
    if work is not None and work.state == "failed" and work.error:
        return error(work.error)
    return Markup("")


def shown(result: Result) -> Markup:
    """The table and the charts of a benchmark."""
    if not result.items:
        ended = result.state == "interrupted"
        return note("Interrupted before anything was measured." if ended else "Nothing has been measured yet.")
    interrupted = notice("Interrupted. These are the measurements up to that point.") if result.state == "interrupted" else ""
    whole = table(figures.HEADER, figures.rows(result), "Everything measured", figures.RIGHT, narrow=True)
    levels = table(figures.LEVELS, figures.level_rows(result), "By concurrency level", figures.LEVELS_RIGHT, narrow=True)
    download = links([("Download as a page", f"/download/bench/{result.id}", False)]) if result.state != "running" else ""
    return joined(
        section("Side by side"),
        interrupted,
        whole,
        Markup('<div class="charts spaced-top">{}</div>').format(Markup(page.charts(result))),
        details("By concurrency level", levels),
        details("How it was measured, and how to read it", Markup(page.method_notes(result))),
        download,
    )


def sent(host: str, rows: int) -> Markup:
    """What leaves this machine."""
    return notice(
        sentence(f"up to {rows} questions are sent to {host}"),
        "To send other questions, use the command with your own file: --prompts FILE.",
    )
