"""Fragments of feedback: the controls under an answer, whether anything is collected, the collected answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from studio.app.fragments.parts import badge, empty, joined, when
from studio.core.html import Fragments
from studio.core.text import plural
from studio.feedback.masking import NAMES_NOT_COVERED

_html = Fragments("studio.app", "feedback.html")
ORIGINS = {"chat": "Chat", "evidence": "Evidence", "served": "Served"}
NONE = empty(
    "No answers", "Turn collecting on and rate answers in Chat or Evidence, or start a server that collects.", "/serve", "Serve"
)


def controls(of: str | int, said: object = None) -> Markup:
    """Buttons to rate, correct and flag one answer. said: what was said of it so far, an answer of the feedback."""
    return _html("controls", of, said)


def collecting(on: bool, where: str = "on this page") -> Markup:
    """Whether answers that are rated are stored."""
    if not on:
        return _html("collecting", badge("not collecting", "calm"), "Nothing is stored, and answers cannot be rated.")
    words = (
        f"Answers that you rate, correct or flag {where} are stored in this studio, personal data masked. {NAMES_NOT_COVERED}"
    )
    return _html("collecting", badge("collecting", "warn"), words)


def servers(servers: Sequence[Any]) -> Markup:
    """The servers that collect."""
    names = [
        f"{', '.join(server.models or server.models_requested)} at {server.url}" for server in servers if server.collecting
    ]
    if not names:
        return _html("collecting", badge("not collecting", "calm"), "No running server stores its answers.")
    words = f"All answers of {'; '.join(names)} are stored in this studio, personal data masked. {NAMES_NOT_COVERED}"
    return _html("collecting", badge("collecting", "warn"), words)


def answers(items: Sequence[Any], start: int, total: int) -> Markup:
    """Collected answers with their controls."""
    if not items:
        return NONE
    shown: list[tuple[object, ...]] = []
    for item in items:
        side = f", {item.side}" if item.side else ""
        where = f"{ORIGINS[item.origin]}, {item.model}{side}, {when(item.at)}"
        marks = [badge(item.rating, "good" if item.rating == "good" else "bad")] if item.rating else []
        marks += [badge("corrected", "busy")] if item.correction else []
        marks += [badge("flagged", "bad")] if item.flag else []
        marks += [badge("held out: not for training", "warn")] if item.held_out else []
        marks += [badge(f"in {reference}", "calm") for reference in dict.fromkeys(item.datasets.values())]
        shown.append((item, where, marks, controls(item.number, item)))
    return joined(_html("answers", shown, f"{start + 1:,} to {start + len(items):,} of {plural(total, 'answer')}"))
