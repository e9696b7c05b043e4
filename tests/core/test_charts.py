"""Charts draw what they are given, and say it in words."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from studio.core.charts import MAX_POINTS, Series, line_chart, nice_ticks, thinned


@pytest.mark.parametrize(("low", "high"), [(0, 3.2), (0, 2e-4), (0, 0), (-3, 5), (0, 123456), (2.5, 2.5)])
def test_axis_ticks_are_round_and_hold_the_data(low: float, high: float):
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert ticks[0] <= low + 1e-12
    assert ticks[-1] >= high - 1e-12


def test_thinning_a_long_line_keeps_its_spikes():
    points = [(float(step), 100.0 if step == 7777 else 1.0) for step in range(20_000)]
    kept = thinned(points)
    assert len(kept) <= MAX_POINTS
    assert (7777.0, 100.0) in kept


def test_a_chart_of_nothing_is_nothing_and_odd_values_do_not_break_it():
    assert line_chart("x", [Series("a", [])]) == ""
    assert line_chart("x", [Series("a", [(1, float("nan"))])]) == ""
    for points in ([(0, 0.0)], [(0, 5.0), (1, 5.0)], [(0, -1.0), (10, 3.0)], [(3, 1e-9), (4, 1e9)]):
        for options in ({}, {"from_zero": True}, {"log_y": True}, {"log_x": True}):
            assert "nan" not in line_chart("x", [Series("a", points)], **options).lower()  # pyright: ignore[reportArgumentType]


def test_a_chart_carries_its_values_for_the_pointer_and_its_words_for_who_cannot_see_it():
    drawn = line_chart("Loss", [Series("training", [(0, 2.0), (10, 1.0)]), Series("held-out", [(10, 1.5)])])
    data = json.loads(unescape(re.search(r'data-chart="([^"]*)"', drawn)[1]))  # type: ignore[index]
    assert [line["label"] for line in data["lines"]] == ["training", "held-out"]
    assert data["lines"][0]["y"] == [2.0, 1.0]
    assert "training 2 at step 0, 1 at 10" in drawn
    assert drawn.count("<li>") == 2


def test_a_smoothed_line_is_drawn_over_its_own_pale_one():
    points = [(float(step), 1.0 + step % 2) for step in range(100)]
    assert line_chart("x", [Series("a", points, smooth=True)]).count("<polyline") == 2
    assert line_chart("x", [Series("a", points)]).count("<polyline") == 1
