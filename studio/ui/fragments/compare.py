"""Fragments of a comparison: which settings differ, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from studio.ui.fragments.parts import number, section, state, table, text


def settings(rows: Sequence[tuple[str, list[Any]]], names: Sequence[str]) -> str:
    """The fields in which runs differ."""
    title = section("Settings that differ")
    if not rows:
        return title + '<p class="note">None: these runs were asked the same.</p>'
    cells = [
        (f'<span class="mono">{text(name)}</span>', *(text(number(_plain(value))) for value in values)) for name, values in rows
    ]
    return title + table(("Setting", *names), cells, "Settings that differ")


def results(runs: Sequence[dict[str, Any]], tables: Sequence[list[tuple[str, ...]]], names: Sequence[str]) -> str:
    """State, losses and evidence side by side. tables: rows of `studio.evaluation.table` for each run, or nothing."""
    cells: list[tuple[str, ...]] = [
        ("State", *(state(row["state"]) for row in runs)),
        ("Held-out loss", *(number(row["held_out_loss"]) for row in runs)),
        ("Verdict", *(text(row["verdict"] or "–") for row in runs)),
    ]
    found = [{(row[0], row[1].rstrip(" *")): row for row in rows} for rows in tables]
    for key in dict.fromkeys(key for rows in found for key in rows):
        values = [rows.get(key) for rows in found]
        shown = [
            f"{text(row[3])}<br><small>base {text(row[2])}, change {text(row[5])}</small>" if row else "–" for row in values
        ]
        cells.append((f"{text(key[1])}<br><small>{text(key[0])}</small>", *shown))
    return section("What came of it") + table(("Result", *names), cells, "Results side by side")


def _plain(value: Any) -> Any:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else value
