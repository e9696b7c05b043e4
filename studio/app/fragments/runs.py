"""Fragments of runs: the table, one run's head, stages, figures, decisions, log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from studio.app.fragments import parts
from studio.app.fragments.parts import (
    details,
    empty,
    figures,
    joined,
    notice,
    number,
    progress,
    section,
    sentence,
    state,
    table,
    text,
    when,
)
from studio.app.run_summary import RunSummary
from studio.app.run_updates import how_far
from studio.core import events
from studio.core.events import Event
from studio.core.html import Fragments
from studio.core.records import ErrorRecord
from studio.core.text import duration, plural, size
from studio.runs.plan import PlanRecord

if TYPE_CHECKING:
    from studio.runs.status import Status

_html = Fragments("studio.app", "runs.html")

STAGES = (
    ("preparing", "Prepare"),
    ("training", "Train"),
    ("evaluating", "Compare"),
    ("exporting", "Export"),
)
EMPTY = empty(
    "No runs yet",
    "A run trains a small adapter on your data and compares it with the base model.",
    "/train",
    "Plan the first run",
)
PER_PAGE = 50
"""Runs on one page of the table."""


def newest(rows: Sequence[RunSummary]) -> Markup:
    """The newest runs in short."""
    if not rows:
        return joined(section("Runs"), EMPTY)
    cells = [(_link(row), state(row.shown_state), _verdict(row), when(row.created)) for row in rows]
    return joined(section("Newest runs"), table(("Run", "State", "Verdict", "Started"), cells, "Newest runs", narrow=True))


def matching(rows: Sequence[RunSummary], words: str) -> list[RunSummary]:
    """The runs that contain every one of some words in any of their texts."""
    wanted = words.lower().split()
    return [row for row in rows if all(word in row.text for word in wanted)]


def pages(count: int) -> int:
    """Pages that so many runs take."""
    return max(1, -(-count // PER_PAGE))


def overview(rows: Sequence[RunSummary], words: str = "", page: int = 1) -> Markup:
    """One page of the table of runs, of those that contain every one of `words`."""
    if not rows:
        return EMPTY
    found = matching(rows, words)
    if not found:
        return empty("No run matches this filter", "Try fewer words, or a state such as done or failed.")
    page = min(max(1, page), pages(len(found)))
    first = (page - 1) * PER_PAGE
    shown = found[first : first + PER_PAGE]
    columns = ("Run", "State", "Model", "Data", "Loss", "Held-out", "Verdict", "Took", "Started")
    cells = [
        (
            joined(_link(row), _html("tags", row.tags)),
            _html("state_with_progress", state(row.shown_state), row.position, _share(row)),
            short_model(row.model),
            row.data,
            number(row.loss),
            number(row.held_out_loss),
            _verdict(row),
            duration(row.seconds) if row.seconds else "–",
            joined(when(row.created), _html("small", f"by {row.who}" if row.who else "", True)),
        )
        for row in shown
    ]
    listed = table(columns, cells, plural(len(found), "run"), figures=(4, 5, 7), narrow=True)
    if len(found) <= PER_PAGE:
        return listed
    return joined(listed, _html("pager", first + 1, first + len(shown), len(found), page, pages(len(found))))


def waiting(rows: Sequence[RunSummary]) -> list[tuple[str, str]]:
    """The runs that wait, in order, as choices: what is shown, which is plain text, and the run's id."""
    queued = sorted((row for row in rows if row.position), key=lambda row: row.position or 0)
    return [(f"{row.position}. {row.name} · {row.id}", row.id) for row in queued]


def short_model(name: str) -> str:
    """A model without the path or the owner before it."""
    return name.rstrip("/").rsplit("/", 1)[-1]


def head(row: RunSummary, wandb: str = "") -> Markup:
    """State, verdict, note and tags of one run."""
    link = wandb if wandb.startswith("https://") else ""
    note, tags = row.note, row.tags
    return _html("head", state(row.shown_state), row.position, row.verdict or "", note, tags, link)


def stages(status: Status) -> Markup:
    """The four stages of a run: done, in progress, to come."""
    items: list[tuple[object, ...]] = []
    for name, label in STAGES:
        seconds = status.stages.get(name)
        now = status.state == name
        kind = "next" if now else "done" if seconds is not None else ""
        words = (
            "in progress"
            if now
            else duration(seconds)
            if seconds is not None
            else "to come"
            if status.active
            else "not reached"
        )
        items.append((kind, label, words))
    return joined(_html("stages", items), _progress(status) if status.active else "")


def _progress(status: Status) -> Markup:
    """How far the present stage is."""
    return progress(status.done, status.total, how_far(status))


def kpis(row: RunSummary, last: Mapping[str, float], left: str, plan: PlanRecord | None) -> Markup:
    """The large figures of a run: loss, held-out loss, speed, memory against plan, time left."""
    measured = plan and plan.measured
    predicted = measured.predicted if measured else plan and plan.memory.total
    used = measured.peak if measured else last.get("memory")
    against = f"{size(predicted)} planned" if predicted else ""
    return figures(
        [
            ("Loss", number(row.loss), f"step {row.step:,}" if row.step else ""),
            ("Held-out loss", number(row.held_out_loss), "lowest so far" if row.active else "lowest"),
            ("Speed", f"{last['tokens_per_second']:,.0f}" if last.get("tokens_per_second") else "–", "tokens per second"),
            ("Memory", size(int(used)) if used else "–", against),
            (
                "Time left" if row.active else "Took",
                left or (duration(row.seconds) if row.seconds and not row.active else "–"),
                "",
            ),
        ]
    )


def problem(error: ErrorRecord | None) -> Markup:
    """Why a run ended early, with its fix."""
    if not error:
        return Markup("")
    return notice(sentence(error.message), error.hint, "bad", error.where)


def decisions(plan: PlanRecord | None) -> Markup:
    """What the plan decided and why, to be opened."""
    decided = plan.decisions if plan else ()
    rows = [(_html("mono", item.field), number(item.value), item.reason) for item in decided]
    if not rows:
        return Markup("")
    listed = table(("Field", "Value", "Reason"), rows, "Decisions of the plan")
    return details(f"{plural(len(rows), 'decision')} of the plan", listed)


def story(happened: list[Event], most: int = 60) -> Markup:
    """What happened, newest first, in words; decisions have a list of their own, of the checkpoints only the last counts."""
    saved = [event for event in happened if isinstance(event, events.CheckpointSaved)]
    older = (events.Decision, events.CheckpointSaved)
    shown = [event for event in happened if not isinstance(event, older) or event in saved[-1:]]
    rows = [(when(event.time), str(event)) for event in reversed(shown[-most:])]
    return table(("When", "What"), rows, "What happened") if rows else parts.note("Nothing has happened yet.")


def log(lines: str) -> Markup:
    """The end of the log."""
    return _html("log", lines or "The log is empty.")


def curves(items: Iterable[Markup], nothing: str) -> Markup:
    """Charts side by side; in words, if there is none."""
    drawn = [item for item in items if item]
    return joined(section("Curves"), _html("charts", drawn) if drawn else parts.note(nothing))


def _link(row: RunSummary) -> Markup:
    return _html("run_link", row.id, row.name)


def _share(row: RunSummary) -> str:
    """How far the run is in its present stage; nothing for one that is not under way."""
    return f"{min(1.0, row.done / row.total):.0%}" if row.active and row.total else ""


def _verdict(row: RunSummary) -> Markup:
    if row.error and (row.damaged or row.state in ("failed", "interrupted")):
        return _html("small", sentence(row.error.message))
    return text(row.headline or "–")
