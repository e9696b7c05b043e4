"""Fragments of the chat: both conversations side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from studio.app.fragments.parts import empty
from studio.core.html import Fragments

_html = Fragments("studio.app", "chat.html")
EMPTY = empty("Ask a question", "Base and tuned get the same message, through the chat template used in training.")


def sides(base: Sequence[dict[str, str]], tuned: Sequence[dict[str, str]], two: bool, waiting: str = "") -> Markup:
    """The conversations as bubbles: two columns for a run, one for a bare model."""
    if not base and not tuned:
        return EMPTY
    columns = [("Base", base), *([("Tuned", tuned)] if two else [])]
    return _html("sides", columns, waiting)


def citations(side: str, items: Sequence[Mapping[str, Any]]) -> Markup:
    """The sources of an answer: document, page and the sentence it rests on. side: base, tuned, or nothing."""
    return _html("citations", side.capitalize(), items)
