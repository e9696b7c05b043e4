"""Fragments of the chat: both conversations side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from studio.app.fragments.feedback import controls
from studio.app.fragments.parts import empty
from studio.core.html import Fragments
from studio.core.messages import ChatMessage

_html = Fragments("studio.app", "chat.html")
EMPTY = empty("Ask a question", "Base and tuned get the same message, through the chat template used in training.")


def sides(
    base: Sequence[ChatMessage],
    tuned: Sequence[ChatMessage],
    two: bool,
    waiting: str = "",
    said: Mapping[str, Any] | None = None,
) -> Markup:
    """The conversations as bubbles: two columns for a run, one for a bare model.

    said: what people said of answers, by side and index (`tuned:1`); without it answers cannot be rated.
    """
    if not base and not tuned:
        return EMPTY
    columns = [(name, _turns(name.lower(), turns, said)) for name, turns in (("Base", base), ("Tuned", tuned))[: 1 + two]]
    return _html("sides", columns, waiting)


def _turns(side: str, turns: Sequence[ChatMessage], said: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for index, turn in enumerate(turns):
        of = f"{side}:{index}"
        rate = said is not None and turn["role"] == "assistant"
        shown.append({**turn, "controls": controls(of, said.get(of)) if rate and said is not None else ""})
    return shown


def citations(side: str, items: Sequence[Mapping[str, Any]]) -> Markup:
    """The sources of an answer: document, page and the sentence it rests on. side: base, tuned, or nothing."""
    return _html("citations", side.capitalize(), items)
