"""Fragments of a comparison: which settings differ, and the results side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from studio.app.fragments.parts import joined, note, number, section, state, table
from studio.app.run_summary import RunSummary
from studio.core.html import Fragments
from studio.core.plain import is_list

_html = Fragments("studio.app", "compare.html")


def settings(rows: Sequence[tuple[str, list[Any]]], names: Sequence[str]) -> Markup:
    """The fields in which runs differ."""
    if not rows:
        return joined(section("Settings that differ"), note("None: these runs have the same settings."))
    cells = [(_html("mono", name), *(number(_plain(value)) for value in values)) for name, values in rows]
    return joined(section("Settings that differ"), table(("Setting", *names), cells, "Settings that differ"))


def results(runs: Sequence[RunSummary], tables: Sequence[list[tuple[str, ...]]], names: Sequence[str]) -> Markup:
    """State, losses and evidence side by side. tables: rows of `studio.evaluation.table` for each run, or nothing."""
    cells: list[tuple[object, ...]] = [
        ("State", *(state(row.state) for row in runs)),
        ("Held-out loss", *(number(row.held_out_loss) for row in runs)),
        ("Verdict", *(row.verdict or "–" for row in runs)),
    ]
    measured = [{(row[0], row[1].rstrip(" *")): row for row in rows} for rows in tables]
    for key in dict.fromkeys(key for rows in measured for key in rows):
        values = [rows.get(key) for rows in measured]
        shown = [_html("value", row[3], row[2], row[5]) if row else "–" for row in values]
        cells.append((_html("metric", key[1], key[0]), *shown))
    different_data = len({row.data for row in runs}) > 1
    caution = note("These runs used different data: their held-out rows are not the same.") if different_data else ""
    return joined(section("Results"), caution, table(("Result", *names), cells, "Results side by side"))


def _plain(value: object) -> Any:
    return ", ".join(str(item) for item in value) if is_list(value) else value
