"""Fragments of the chat: both conversations side by side."""

from __future__ import annotations

from collections.abc import Sequence

from studio.ui.fragments.parts import text


def sides(base: Sequence[dict[str, str]], tuned: Sequence[dict[str, str]], two: bool, waiting: str = "") -> str:
    """The conversations as bubbles: two columns for a run, one for a bare model."""
    if not base and not tuned:
        return '<div class="empty"><h2>Ask something</h2><p>Both models get the very same message, put into words as in training.</p></div>'
    columns = _column("Base", base, waiting) + (_column("Tuned", tuned, waiting) if two else "")
    return f'<div class="sides" role="log" aria-live="polite">{columns}</div>'


def _column(name: str, turns: Sequence[dict[str, str]], waiting: str) -> str:
    bubbles = "".join(
        f'<div class="turn {"assistant" if turn["role"] == "assistant" else "user"}">{text(turn["content"]) or "…"}</div>'
        for turn in turns
    )
    more = f'<p class="note" role="status">{text(waiting)}</p>' if waiting else ""
    return f'<section><h4>{text(name)}</h4><div class="talk">{bubbles}</div>{more}</section>'
