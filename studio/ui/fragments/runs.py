"""Fragments of runs: the table, one run's head, stages, figures, decisions, log."""

from __future__ import annotations

from typing import Any

from studio.core import events
from studio.core.events import Event
from studio.core.text import duration, plural, size
from studio.ui.fragments.parts import (
    badge,
    empty,
    figures,
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


def newest(rows: list[dict[str, Any]]) -> str:
    """The newest runs in short."""
    if not rows:
        return section("Runs") + EMPTY
    cells = [(_link(row), state(row["state"]), _verdict(row), text(when(row["created"]))) for row in rows]
    return section("Newest runs") + _narrow(table(("Run", "State", "Verdict", "Started"), cells, "Newest runs"))


def overview(rows: list[dict[str, Any]], wanted: str = "") -> str:
    """The table of runs, those that contain every word of `wanted` in any of their texts."""
    if not rows:
        return EMPTY
    words = wanted.lower().split()
    kept = [row for row in rows if all(word in _haystack(row) for word in words)]
    if not kept:
        return empty("No run fits this filter", "Try fewer words, or a state such as done or failed.")
    columns = ("Run", "State", "Model", "Data", "Loss", "Held-out", "Verdict", "Took", "Started")
    cells = [
        (
            _link(row) + _tags(row),
            state(row["state"]) + _place(row),
            text(short_model(row["model"])),
            text(row["data"]),
            number(row["loss"]),
            number(row["held_out_loss"]),
            _verdict(row),
            text(duration(row["seconds"]) if row["seconds"] else "–"),
            text(when(row["created"])) + (f"<br><small>by {text(row['who'])}</small>" if row.get("who") else ""),
        )
        for row in kept
    ]
    return _narrow(table(columns, cells, plural(len(kept), "run"), figures=(4, 5, 7)))


def waiting(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The runs that wait, in order, as choices: what is shown, which is plain text, and the run's id."""
    found = sorted((row for row in rows if row.get("position")), key=lambda row: row["position"])
    return [(f"{row['position']}. {row['name']} · {row['id']}", row["id"]) for row in found]


def short_model(name: str) -> str:
    """A model without the path or the owner before it."""
    return name.rstrip("/").rsplit("/", 1)[-1]


def head(row: dict[str, Any], wandb: str = "") -> str:
    """State, verdict, note and tags of one run."""
    link = (
        f'<a class="link-button plain" href="{text(wandb)}" rel="noopener">Open in Weights &amp; Biases</a>'
        if wandb.startswith("https://")
        else ""
    )
    verdict = f"<span>{text(row['verdict'])}</span>" if row["verdict"] else ""
    note = f'<p class="note">{text(row["note"])}</p>' if row.get("note") else ""
    return f'<div class="verdict">{state(row["state"])}{_place(row)}{verdict}</div>{note}{_tags(row)}{link}'


def stages(status: Any) -> str:
    """The four stages of a run: done, under way, to come."""
    items = ""
    for name, label in STAGES:
        seconds = status.stages.get(name)
        now = status.state == name
        kind = "next" if now else "done" if seconds is not None else ""
        told = (
            "under way" if now else duration(seconds) if seconds is not None else "to come" if status.active else "not reached"
        )
        items += f'<li class="{kind}"><h3>{label}</h3><p>{text(told)}</p></li>'
    bar = ""
    if status.active:
        what = (
            f"{status.what} {number(round(status.done, 2))} of {number(round(status.total, 2))}"
            if status.total and status.what
            else status.what or status.state
        )
        bar = progress(status.done, status.total, what)
    return f'<ol class="steps stages">{items}</ol>{bar}'


def kpis(row: dict[str, Any], last: dict[str, Any], left: str, plan: dict[str, Any]) -> str:
    """The large figures of a run: loss, held-out loss, speed, memory against plan, time left."""
    measured = plan.get("measured") or {}
    predicted = measured.get("predicted") or (plan.get("memory") or {}).get("total")
    used = measured.get("peak") or last.get("memory")
    against = f"{size(predicted)} planned" if predicted else ""
    return figures(
        [
            ("Loss", number(row["loss"]), f"step {row['step']:,}" if row["step"] else ""),
            ("Held-out loss", number(row["held_out_loss"]), "lowest so far" if row["active"] else "lowest"),
            ("Speed", f"{last['tokens_per_second']:,.0f}" if last.get("tokens_per_second") else "–", "tokens a second"),
            ("Memory", size(used) if used else "–", against),
            (
                "Time left" if row["active"] else "Took",
                left or (duration(row["seconds"]) if row["seconds"] and not row["active"] else "–"),
                "",
            ),
        ]
    )


def problem(found: dict[str, Any] | None) -> str:
    """Why a run ended early, with its fix."""
    return notice(sentence(found["message"]), found.get("hint", ""), "bad", found.get("where", "")) if found else ""


def decisions(plan: dict[str, Any]) -> str:
    """What the plan decided and why, to be opened."""
    found = plan.get("decisions") or []
    if not found:
        return ""
    rows = [
        (f'<span class="mono">{text(item["field"])}</span>', text(number(item["value"])), text(item["reason"]))
        for item in found
    ]
    return f"<details><summary>{plural(len(found), 'decision')} of the plan</summary>{table(('Field', 'Value', 'Because'), rows, 'Decisions of the plan')}</details>"


def story(happened: list[Event], most: int = 60) -> str:
    """What happened, newest first, in words; decisions have a list of their own, of the checkpoints only the last counts."""
    saved = [event for event in happened if isinstance(event, events.CheckpointSaved)]
    older = (events.Decision, events.CheckpointSaved)
    shown = [event for event in happened if not isinstance(event, older) or event in saved[-1:]]
    rows = [(text(when(event.time)), text(event)) for event in reversed(shown[-most:])]
    return table(("When", "What"), rows, "What happened") if rows else '<p class="note">Nothing happened yet.</p>'


def log(lines: str) -> str:
    """The end of the log."""
    return f'<pre class="log" tabindex="0" aria-label="Log">{text(lines) or "The log is empty."}</pre>'


def _narrow(html: str) -> str:
    return html.replace('class="table-holder"', 'class="table-holder narrow"', 1)


def _link(row: dict[str, Any]) -> str:
    return f'<a href="/run?id={text(row["id"])}">{text(row["name"])}</a><br><small class="mono">{text(row["id"])}</small>'


def _tags(row: dict[str, Any]) -> str:
    return "".join(f" {badge(tag)}" for tag in row.get("tags") or [])


def _place(row: dict[str, Any]) -> str:
    return f" <small>place {row['position']}</small>" if row.get("position") else ""


def _verdict(row: dict[str, Any]) -> str:
    if row["error"] and row["state"] in ("failed", "interrupted"):
        return f"<small>{text(sentence(row['error']['message']))}</small>"
    return text((row["verdict"] or "–").partition(":")[0])


def _haystack(row: dict[str, Any]) -> str:
    names = ("id", "name", "state", "model", "data", "verdict", "note", "who")
    return " ".join([*(str(row.get(name) or "") for name in names), *(row.get("tags") or [])]).lower()
