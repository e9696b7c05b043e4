"""Intervals: seeded, paired, and honest where the bootstrap is blind."""

from __future__ import annotations

import numpy as np
import pytest

from studio.evaluation.answering import score_answers
from studio.evaluation.interval import Draws, Estimate, Ratio, change, estimate, mean


def shares(values: object) -> Ratio:
    return mean(np.asarray(values, dtype=np.float64), bounds=(0.0, 1.0))


def test_the_same_seed_gives_the_same_interval_and_another_one_nearly():
    rows = np.random.default_rng(3).random(80)
    first, again = (estimate(shares(rows), Draws(80, 1000, 1)) for _ in range(2))
    other = estimate(shares(rows), Draws(80, 1000, 2))
    assert first == again
    assert first != other
    assert first.low == pytest.approx(other.low, abs=0.02)


def test_draws_too_large_to_keep_give_the_same_sums():
    column = np.arange(50, dtype=np.float64)
    kept, streamed = Draws(50, 300, 5), Draws(50, 300, 5)
    streamed._blocks = None
    assert (kept.sums(column) == streamed.sums(column)).all()
    assert kept.sums(np.ones(50)).tolist() == [50.0] * 300


def test_intervals_hold_the_truth_about_95_times_in_100():
    dice = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        found = estimate(shares(dice.random(60) < 0.3), Draws(60, 400, trial))
        held += found.low <= 0.3 <= found.high  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]
    assert 0.88 <= held / 200 <= 1.0


def test_the_change_is_paired_and_so_narrower_than_the_two_apart():
    dice = np.random.default_rng(1)
    hard = dice.random(200)
    base, tuned = shares(hard), shares(np.clip(hard + 0.05 + 0.01 * dice.standard_normal(200), 0, 1))
    draws = Draws(200, 1000, 0)
    paired = change(base, tuned, draws)
    assert paired.above_zero
    assert paired.high - paired.low < 0.01 < estimate(base, draws).high - estimate(base, draws).low  # pyright: ignore[reportOperatorIssue]


def test_a_ratio_weighs_rows_by_their_tokens():
    loss = Ratio(np.array([10.0, 1.0]), np.array([10.0, 100.0]))
    assert estimate(loss, Draws(2, 200, 0)).value == pytest.approx(11 / 110)


def test_all_right_is_not_certainty():
    found = estimate(shares(np.ones(120)), Draws(120, 1000, 0))
    assert found.high == 1
    assert found.low == pytest.approx(0.975 - 0.0055, abs=0.001)  # 0.025 ** (1 / 120)
    won = change(shares(np.zeros(120)), shares(np.ones(120)), Draws(120, 1000, 0))
    assert won.value == won.high == 1
    assert won.low == pytest.approx(1 - 2 * 0.0303, abs=0.001)


def test_identical_answers_leave_room_for_an_unseen_difference():
    same = change(shares(np.ones(30)), shares(np.ones(30)), Draws(30, 1000, 0))
    assert same.low < 0 < same.high  # pyright: ignore[reportOperatorIssue, reportOptionalOperand]


def test_one_row_has_no_interval():
    found = estimate(Ratio(np.array([2.0]), np.array([1.0])), Draws(1, 100, 0))
    assert (found.value, found.low, found.high) == (2.0, None, None)
    assert not found.above_zero
    assert not found.below_zero


def test_an_interval_that_touches_zero_is_on_neither_side():
    assert not Estimate(0.5, 0.0, 1.0, 9).above_zero
    assert not Estimate(-0.5, -1.0, 0.0, 9).below_zero
    assert Estimate(0.5, 0.1, 1.0, 9).above_zero
    assert Estimate(-0.5, -1.0, -0.1, 9).below_zero


def test_answers_from_elsewhere_are_scored_as_text():
    found = score_answers(["24 months", "blue"], ["24 months", "The blue."])
    assert found["exact_match"].value == 0.5
    assert found["normalised_match"].value == 1
    assert found["rouge_l"].rows == 2


def test_answers_that_do_not_pair_up_are_refused():
    from studio.core.errors import DataError

    with pytest.raises(DataError, match="2 references and 1 answers"):
        score_answers(["a", "b"], ["a"])
