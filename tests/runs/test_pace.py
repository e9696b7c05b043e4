"""The time left is a range from what steps took lately, and it narrows."""

from __future__ import annotations

import random

from studio.runs.pace import seconds_left


def lines(seconds: list[float], start: float = 1000.0, first: int = 1) -> list[dict[str, float]]:
    found, now = [], start
    for step, took in enumerate(seconds, first):
        now += took
        found.append({"step": step, "loss": 1.0, "time": now})
    return found


def test_an_even_pace_gives_the_time_left_and_a_slow_first_step_does_not_count() -> None:
    assert seconds_left(lines([60.0, *[2.0] * 9]), 30) == (40.0, 40.0)


def test_nothing_is_told_after_a_few_steps() -> None:
    assert seconds_left(lines([60.0, 2.0, 2.0, 2.0]), 30) is None
    assert seconds_left([], 30) is None


def test_the_range_holds_what_comes_and_narrows() -> None:
    chance = random.Random(0)
    steps = [9.0, *(chance.uniform(1.0, 3.0) for _ in range(200))]
    widths = []
    for done in (10, 50, 150):
        found = seconds_left(lines(steps[:done]), 200)
        assert found is not None
        assert found[0] <= sum(steps[done:200]) <= found[1]
        widths.append(found[1] - found[0])
    assert widths[0] > widths[1]
    assert widths[1] > widths[2]


def test_only_the_lately_had_pace_of_the_present_process_counts() -> None:
    before, after = lines([9.0] * 50, start=0.0), lines([1.0] * 60, start=5000.0, first=51)
    assert seconds_left([*before, *after], 120, since=5000.0) == (10.0, 10.0)


def test_lines_of_evaluations_are_no_steps_and_their_time_counts() -> None:
    steps = lines([5.0, *[1.0] * 9, 11.0, *[1.0] * 9])
    found = seconds_left([*steps, {"step": 10, "eval_loss": 2.0, "time": 1020.0}], 40)
    assert found is not None
    assert found[0] < 20 * 28 / 18 < found[1]
