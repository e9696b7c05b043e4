"""Runs side by side, as text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from studio.app.comparison import Comparison


def test_the_columns_of_a_printed_comparison_stand_below_each_other_and_figures_are_short() -> None:
    runs: Any = tuple(SimpleNamespace(id=name) for name in ("a-run-with-a-long-name-1f2e3d", "b-1f2e3d"))
    losses: Any = tuple(SimpleNamespace(state="done", held_out_loss=loss) for loss in (4.073455333709717, None))
    evidence = ([("held-out", "Answer length (tokens)", "10.5", "13.5")], [])
    printed = repr(Comparison(runs, (("adapter.rank", [4, 8]),), losses, evidence)).splitlines()
    second = printed[0].index("b-1f2e3d")
    assert [line[second:] for line in printed] == ["b-1f2e3d", "8", "done", "–", "–"]
    assert printed[3].split() == ["held-out", "loss", "4.073", "–"]
