"""The statistics of a cascade: each against a closed form, another library, or a simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from studio.cascade import curve, isotonic, risk, signals
from studio.cascade.question_router import QuestionRouter
from studio.evaluation.interval import Draws
from studio.remote.completion import TokenChoice


def token(text: str, probability: float, other: float = 0.0) -> TokenChoice:
    top = ((text, math.log(probability)), *((("?", math.log(other)),) if other else ()))
    return TokenChoice(token=text, logprob=math.log(probability), top=top)


def test_signals_of_an_answer_are_its_tokens_margins_and_probabilities():
    found = signals.read([token("a", 0.9, 0.1), token("b", 0.5, 0.4)])
    assert found == {
        "mean_margin": pytest.approx(0.45),
        "least_margin": pytest.approx(0.1),
        "mean_logprob": pytest.approx(math.sqrt(0.45)),
        "sum_logprob": pytest.approx(0.45),
        "least_logprob": pytest.approx(0.5),
    }


def test_an_answer_without_tokens_is_one_nobody_can_be_sure_of():
    assert set(signals.read(None).values()) == set(signals.read([]).values()) == {0.0}


def test_a_token_with_only_itself_among_its_alternatives_has_its_own_probability_as_margin():
    assert signals.read([token("a", 0.8)])["mean_margin"] == pytest.approx(0.8)


@pytest.mark.slow
def test_auroc_is_scikit_learns_with_ties():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    values, right = random.integers(0, 8, 200).astype(float), random.integers(0, 2, 200).astype(float)
    assert signals.auroc(values, right) == pytest.approx(metrics.roc_auc_score(right, values))
    assert signals.auroc(values, np.ones(200)) == 0.5


def test_the_signal_that_tells_apart_best_is_chosen():
    right = np.array([1.0, 1, 0, 0])
    name, found = signals.choose({"worse": np.array([1.0, 0, 1, 0]), "better": np.array([0.9, 0.8, 0.7, 0.1])}, right)
    assert name == "better"
    assert found == {"worse": 0.5, "better": 1.0}


@pytest.mark.slow
def test_isotonic_regression_is_scikit_learns():
    library = pytest.importorskip("sklearn.isotonic")
    random = np.random.default_rng(1)
    values = np.round(random.random(150), 2)
    right = (random.random(150) < values**2).astype(float)
    ours = isotonic.fit(values, right)
    theirs = library.IsotonicRegression(out_of_bounds="clip").fit(values, right)
    at = np.linspace(-0.1, 1.1, 200)
    assert ours(at) == pytest.approx(theirs.predict(at))
    assert (np.diff(ours(at)) >= 0).all()


def test_the_calibration_error_of_what_is_always_right_about_itself_is_small():
    random = np.random.default_rng(2)
    confidence = random.random(5000)
    right = (random.random(5000) < confidence).astype(float)
    assert isotonic.calibration_error(confidence, right) < 0.03
    assert isotonic.calibration_error(confidence, 1 - right) > 0.3
    assert sum(rows for *_, rows in isotonic.reliability(confidence, right)) == 5000


def test_binomial_figures_are_scipys():
    stats = pytest.importorskip("scipy.stats")
    for most, rows, share in ((0, 120, 0.02), (3, 50, 0.1), (49, 50, 0.9), (200, 400, 0.5)):
        assert risk.binomial_cdf(most, rows, share) == pytest.approx(stats.binom.cdf(most, rows, share), rel=1e-9)
    for seen, rows in ((0, 120), (4, 60), (59, 60), (60, 60)):
        found = stats.binomtest(seen, rows).proportion_ci(0.95, "exact")
        assert risk.interval(seen, rows) == pytest.approx((found.low, found.high), abs=1e-9)


def test_too_few_rows_prove_nothing_and_keep_nothing_local():
    assert risk.rows_needed(0.02, 0.9) == 114
    sure = np.ones(113)
    assert not risk.find_threshold(sure, sure, 0.02, 0.9).useful
    assert risk.find_threshold(np.ones(114), np.ones(114), 0.02, 0.9).value == 0.0


def test_a_threshold_lets_no_more_wrong_answers_through_than_the_promise_bears():
    random = np.random.default_rng(3)
    values = random.random(500)
    right = (random.random(500) < values).astype(float)
    found = risk.find_threshold(values, right, 0.05)
    assert found.useful
    assert found.wrong == int(((values >= found.value) & (right < 0.5)).sum())
    assert found.upper <= 0.05
    assert found.wrong / 500 < 0.05


@pytest.mark.slow
def test_the_promise_is_broken_in_at_most_one_of_ten_draws_however_the_signal_lies():
    """1,000 calibrations on fresh draws from a world where the true risk of every threshold is known."""
    random = np.random.default_rng(4)
    broken = kept = 0
    for _ in range(1000):
        values = random.random(150)
        right = (random.random(150) < 0.55 + 0.45 * values).astype(float)
        found = risk.find_threshold(values, right, 0.05, 0.9)
        cut = min(found.value, 1.0)
        true_risk = 0.45 * (1 - cut) ** 2 / 2  # integral of P(wrong | v) = 0.45 (1 - v) from the threshold to 1
        broken += true_risk > 0.05
        kept += found.useful
    assert broken <= 100
    assert kept > 900, "and yet it answers locally"


def outcomes(rows: int = 400) -> curve.Outcomes:
    random = np.random.default_rng(5)
    small = (random.random(rows) < 0.7).astype(float)
    large = (random.random(rows) < 0.95).astype(float)
    ones = np.ones(rows)
    return curve.Outcomes(small, large, 0.001 * ones, 0.01 * ones, 0.1 * ones, 1.0 * ones)


def test_the_curve_runs_from_the_small_model_alone_to_the_large_one_alone():
    both, draws = outcomes(), Draws(400, 200, 0)
    found = curve.measure("cascade", both.small_right + 0.01, both, draws)
    first, last = found.points[0], found.points[-1]
    assert (first.quality, last.quality) == (pytest.approx(both.small_right.mean()), pytest.approx(both.large_right.mean()))
    assert (first.cost, last.cost) == (pytest.approx(1.0), pytest.approx(11.0)), "the small model is paid on every question"
    assert (first.p95, last.p95) == (pytest.approx(0.1), pytest.approx(1.1)), "and waited for"
    assert all(item.low <= item.quality <= item.high for item in found.points)


def test_the_ideal_router_beats_every_other_and_a_random_one_recovers_half():
    both, draws = outcomes(), Draws(400, 100, 0)
    ideal = curve.measure("ideal", curve.ideal(both), both, draws)
    drawn = curve.measure("random", curve.random_scores(400, 0), both, draws)
    assert ideal.equal is not None
    assert drawn.equal is not None
    assert ideal.equal < drawn.equal
    assert ideal.recovered is not None
    assert drawn.recovered is not None
    assert ideal.recovered > 0.9
    assert drawn.recovered == pytest.approx(0.5, abs=0.1)


def test_no_share_of_the_gap_is_given_where_there_is_hardly_a_gap():
    rows = np.ones(50)
    both = curve.Outcomes(rows, rows, rows, rows, rows, rows)
    found = curve.measure("cascade", rows, both, Draws(50, 50, 0))
    assert found.recovered is None
    assert found.equal == 0.0


def test_a_router_on_the_question_alone_is_not_charged_for_the_small_answer():
    from dataclasses import replace

    both = replace(outcomes(), large_first=True)
    found = curve.measure("question", curve.random_scores(400, 0), both, Draws(400, 50, 0))
    assert found.points[-1].cost == pytest.approx(10.0)


def test_a_router_on_the_question_alone_learns_what_the_small_model_knows():
    known = [f"what is the price of the {colour} lamp" for colour in ("red", "blue", "green", "white")] * 5
    unknown = [f"who painted picture number {number} in the museum" for number in range(20)]
    router = QuestionRouter([*known, *unknown], np.array([1.0] * 20 + [0.0] * 20))
    sure, unsure = router(["what is the price of the black lamp", "who painted the picture in the hall"])
    assert sure > 0.7 > 0.3 > unsure
