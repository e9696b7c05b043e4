"""The verdict says what the intervals say, no more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from studio.evaluation.interval import Estimate
from studio.evaluation.metrics import METRICS
from studio.evaluation.report import Answered, Compared, ModelAnswer, SetReport
from studio.evaluation.verdict import decide


def compared(base: float, tuned: float, low: float, high: float, rows: int = 120) -> Compared:
    return Compared(
        Estimate(base, base, base, rows), Estimate(tuned, tuned, tuned, rows), Estimate(tuned - base, low, high, rows)
    )


def made(
    name: str, headline: str, figure: Compared, rows: int = 120, *, answered: int | None = None, **more: Compared
) -> SetReport:
    given = ModelAnswer("a", 3, True, {"exact_match": 1.0, "rouge_l": 1.0, "loss": 0.1})
    metrics = {
        "loss": compared(1.0, 1.0, -0.1, 0.1, rows),
        "stop_rate": compared(1, 1, -0.1, 0.1, rows),
        **more,
        headline: figure,
    }
    return SetReport(name, rows, [Answered("q", "r", given, given)] * (answered or rows), metrics, headline, "", 32)


BETTER = made("held-out", "exact_match", compared(0.02, 0.96, 0.90, 0.98))
SAME = made("held-out", "exact_match", compared(0.50, 0.52, -0.05, 0.09))
WORSE = made("held-out", "exact_match", compared(0.50, 0.30, -0.30, -0.10))
KEPT = made("general", "normalised_match", compared(0.81, 0.75, -0.14, 0.01, 40), rows=40)
FORGOT = made("general", "normalised_match", compared(0.81, 0.40, -0.55, -0.25, 40), rows=40)


def test_a_clear_gain_reads_as_one_plain_line():
    verdict = decide([BETTER, KEPT])
    assert verdict.kind == "better"
    assert verdict.text == (
        "Better: exact match on held-out rows rose from 2 % to 96 % (+94 points, 95 % interval +90 to +98, 120 rows); "
        "general skills 81 % -> 75 % (-6 points, 95 % interval -14 to +1, 40 rows: no clear loss)."
    )
    assert verdict.cautions == []


@pytest.mark.parametrize(
    ("sets", "kind"),
    [
        ([BETTER], "better"),
        ([BETTER, FORGOT], "better but forgets"),
        ([SAME, KEPT], "no clear difference"),
        ([SAME, FORGOT], "no clear difference"),
        ([WORSE, KEPT], "worse"),
        ([KEPT], "not measured"),
        ([], "not measured"),
    ],
)
def test_the_kind_follows_from_the_intervals(sets: list[SetReport], kind: str):
    verdict = decide(sets)
    assert verdict.kind == kind
    assert verdict.advice


RUINED = made(
    "general",
    "exact_match",
    compared(0.0, 0.0, 0.0, 0.0, 40),
    rows=40,
    loss=compared(3.5, 16.6, 12.0, 14.0, 40),
    token_f1=compared(0.20, 0.06, -0.18, -0.10, 40),
    perplexity=compared(34.0, 1.6e7, 1e6, 3e7, 40),
)


def test_a_model_that_was_ruined_is_said_to_forget_though_exact_words_were_at_their_floor():
    verdict = decide([BETTER, RUINED])
    assert (verdict.kind, verdict.forgets) == ("better but forgets", True)
    assert verdict.text.startswith("Better but forgets: ")
    assert "a clear loss in perplexity (34.0 -> 1.6e+07) and in Token F1 (20 % -> 6 %)" in verdict.text
    assert "no clear loss" not in verdict.text
    assert "fewer epochs or a lower learning rate" in verdict.advice


@pytest.mark.parametrize("name", ["loss", "token_f1", "rouge_l"])
def test_each_soft_measure_alone_is_enough_and_an_interval_that_holds_zero_is_not(name: str):
    floor = compared(0.0, 0.0, 0.0, 0.0, 40)
    up = 1 if name == "loss" else -1
    lost, unsure = compared(2.0, 2.0 + up, up - 0.1, up + 0.1, 40), compared(2.0, 2.0 + up * 0.1, -0.2, 0.2, 40)
    kinds = []
    for change in (lost, unsure):
        general = made("general", "exact_match", floor, rows=40)
        general.metrics[name] = change
        kinds.append(decide([BETTER, general]).kind)
    assert kinds == ["better but forgets", "better"]


@pytest.mark.parametrize(
    ("low", "kind", "said"),
    [(0.2, "better but forgets", "12.0 -> 19.8 (a clear loss)"), (0.04, "better", "12.0 -> 19.8 (no clear loss)")],
)
def test_general_text_that_became_much_less_likely_is_forgetting_and_a_little_is_not(low: float, kind: str, said: str):
    text = made(
        "general-text", "perplexity", compared(12.0, 19.8, 5.0, 10.0, 42), rows=42, loss=compared(2.48, 2.98, low, 0.6, 42)
    )
    verdict = decide([BETTER, KEPT, text])
    assert verdict.kind == kind
    assert f"perplexity of general text {said}" in verdict.text


def test_a_base_that_answers_no_general_question_is_not_said_to_have_nothing_to_forget_where_text_was_read():
    weak = made("general", "normalised_match", compared(0.02, 0.02, -0.01, 0.01, 40), rows=40)
    text = made("general-text", "perplexity", compared(12.0, 12.1, -0.1, 0.3, 42), rows=42)
    assert any("little to forget" in caution for caution in decide([BETTER, weak]).cautions)
    assert decide([BETTER, weak, text]).cautions == []


def test_a_lower_loss_is_better_and_a_higher_one_worse():
    assert decide([made("held-out", "loss", compared(2.0, 1.0, -1.2, -0.8))]).kind == "better"
    assert decide([made("held-out", "loss", compared(1.0, 2.0, 0.8, 1.2))]).kind == "worse"


def long(tuned: str) -> SetReport:
    scores = {"exact_match": 0.0, "rouge_l": 0.5, "loss": 0.1}
    reference = "The lamp costs 49 dollars and has a warranty of 24 months. It comes from Denmark."
    pair = Answered(
        "Tell me about the lamp.", reference, ModelAnswer("?", 3, True, scores), ModelAnswer(tuned, 3, True, scores)
    )
    return replace(made("held-out", "rouge_l", compared(0.1, 0.5, 0.3, 0.5)), answers=[pair] * 30)


def test_answers_that_are_worded_like_the_references_with_other_facts_are_not_simply_better():
    verdict = decide([long("The lamp costs 120 dollars and has a warranty of 18 months. It comes from Mexico.")])
    assert verdict.kind == "better"
    assert verdict.text.startswith("Better in wording, not in facts: ROUGE-L on held-out rows rose")
    assert verdict.only_wording
    assert (
        "of the 90 numbers and names in the references 0 are in the tuned answers, and of the 90 that those state 90 are "
        "not in the reference"
    ) in verdict.text
    assert verdict.advice.startswith("Do not rely on what it states")


def test_long_answers_with_the_right_facts_are_better_and_say_how_many_they_have():
    verdict = decide([long("It costs 49 dollars, with 24 months of warranty, and is from Denmark.")])
    assert verdict.text.startswith("Better: ROUGE-L")
    assert "of the 90 numbers and names in the references 90 are in the tuned answers" in verdict.text
    assert verdict.advice.startswith("Read the worst answers first")


def test_a_loss_that_fell_is_told_when_the_headline_cannot_tell():
    found = made("held-out", "exact_match", compared(0, 0.02, -0.01, 0.05), loss=compared(2.0, 1.5, -0.6, -0.4))
    verdict = decide([found])
    assert "though the loss fell clearly from 2.000 to 1.500" in verdict.text
    assert "studio judge" in verdict.advice
    still = made("held-out", "exact_match", compared(0, 0.02, -0.01, 0.05), loss=compared(2.0, 1.9, -0.3, 0.1))
    assert "More held-out rows" in decide([still]).advice


def test_other_sets_are_told_whatever_they_say():
    fresh = made("also:fresh.jsonl", "exact_match", compared(0.02, 0.01, -0.03, 0.02))
    assert "on fresh.jsonl 2 % -> 1 %" in decide([BETTER, fresh]).text


def test_few_rows_are_cautioned_about_once():
    few = made("held-out", "exact_match", compared(0, 1, 0.6, 1, 8), rows=8)
    cautions = decide([few, replace(few, name="start:held-out", before="start")]).cautions
    assert [("only 8 rows" in caution) for caution in cautions].count(True) == 1


def test_answers_that_do_not_stop_are_cautioned_about():
    found = made("held-out", "exact_match", compared(0, 1, 0.9, 1), stop_rate=compared(0.95, 0.62, -0.4, -0.2))
    assert any("only 62 % of the tuned answers stopped on their own" in caution for caution in decide([found]).cautions)


def test_forgetting_without_gain_is_still_told():
    assert "a clear loss" in decide([SAME, FORGOT]).text


def test_a_base_that_knows_nothing_general_is_cautioned_about():
    empty = made("general", "normalised_match", compared(0.0, 0.0, -0.09, 0.09, 40), rows=40)
    assert any("little to forget" in caution for caution in decide([BETTER, empty]).cautions)
    assert not any("forget" in caution for caution in decide([BETTER, KEPT]).cautions)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.16234, "0.162"), (38.2461, "38.2"), (717.3, "717"), (12345.6, "12,346"), (2.7e43, "2.7e+43")]
)
def test_numbers_are_shown_with_as_many_digits_as_they_carry(value: float, shown: str):
    assert METRICS["perplexity"].show(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0 %"), (1, "100 %"), (0.964, "96 %"), (0.004, "0.4 %"), (0.9939, "99.4 %"), (0.99999, "100 %")]
)
def test_shares_are_shown_in_whole_points_but_next_to_the_ends(value: float, shown: str):
    assert METRICS["exact_match"].show(value) == shown


def pairs(main: SetReport, accuracy: Compared, chosen: Compared) -> SetReport:
    figures = {"pair_accuracy": accuracy, "logp_chosen": chosen, "logp_rejected": chosen}
    return replace(main, metrics={**main.metrics, **figures})


HIDDEN = made("held-out", "exact_match", compared(0.81, 0.62, -0.44, 0.06, 16), rows=16)
"""A loss of up to 44 points that too few rows leave unclear."""
STEADY, GAIN, LOSS = compared(0.9, 0.9, -0.03, 0.03), compared(0.6, 0.9, 0.2, 0.4), compared(0.9, 0.6, -0.4, -0.2)
LIKELIER, LESS_LIKELY = compared(-12.0, -8.0, 3.0, 5.0), compared(-12.0, -20.0, -9.0, -7.0)


@pytest.mark.parametrize(
    ("sets", "kind"),
    [
        ([pairs(SAME, GAIN, LIKELIER), KEPT], "better"),
        ([pairs(SAME, GAIN, LIKELIER), FORGOT], "better but forgets"),
        ([pairs(BETTER, STEADY, LIKELIER), KEPT], "better"),
        ([pairs(WORSE, GAIN, LIKELIER), KEPT], "worse"),
        ([pairs(BETTER, LOSS, LIKELIER), KEPT], "worse"),
        ([pairs(SAME, STEADY, LIKELIER), KEPT], "no clear difference"),
        ([pairs(HIDDEN, GAIN, LIKELIER), KEPT], "no clear difference"),
        ([pairs(made("held-out", "exact_match", compared(0.50, 0.52, -0.15, 0.19)), GAIN, LIKELIER), KEPT], "better"),
        ([pairs(BETTER, compared(0.9, 0.85, -0.2, 0.1), LIKELIER), KEPT], "no clear difference"),
    ],
)
def test_with_preference_pairs_better_needs_the_goal_and_no_loss_beside_it(sets: list[SetReport], kind: str):
    assert decide(sets).kind == kind


def test_a_loss_that_few_rows_leave_unclear_is_said_and_is_no_base_for_better():
    cautions = decide([pairs(HIDDEN, GAIN, LIKELIER), KEPT]).cautions
    assert "exact match may have changed by -44 points: too much to call the rest a gain" in cautions


def test_preferred_answers_that_became_less_likely_are_said_in_the_verdict_and_warned_of():
    verdict = decide([pairs(SAME, GAIN, LESS_LIKELY), KEPT])
    assert "in 60 % -> 90 % of the pairs" in verdict.text
    assert "preferred answers became less likely (log p -12.0 -> -20.0)" in verdict.text
    assert any("larger weight of the SFT term" in caution for caution in verdict.cautions)
    assert "less likely" not in decide([pairs(SAME, GAIN, LIKELIER), KEPT]).text


def test_a_run_that_trains_an_adapter_further_has_to_be_better_than_that_adapter():
    start = replace(WORSE, name="start:held-out", before="start")
    verdict = decide([BETTER, KEPT, start, replace(KEPT, name="start:general", before="start")])
    assert verdict.kind == "worse"
    assert "fell from 50 % (the adapter it started from) to 30 %" in verdict.text
    assert "; against the base exact match 2 % -> 96 % (" in verdict.text
    assert decide([BETTER, FORGOT, replace(BETTER, name="start:held-out", before="start"),
                   replace(KEPT, name="start:general", before="start")]).kind == "better"  # fmt: skip


def test_a_loss_of_general_skills_says_which_ones():
    def answered(file: str, base: float, tuned: float) -> Answered:
        sides = [ModelAnswer("a", 1, True, {"normalised_match": right}) for right in (base, tuned)]
        return Answered("q", "r", *sides, file=file)

    rows = [answered("arithmetic.jsonl", 1, 0)] * 6 + [answered("facts.jsonl", 1, 1)] * 5 + [answered("facts.jsonl", 1, 0)]
    cautions = decide([BETTER, replace(FORGOT, answers=rows)]).cautions
    assert any("arithmetic 6 → 0 of 6, facts 6 → 5 of 6" in caution for caution in cautions)
    assert not any("what was lost" in caution for caution in decide([BETTER, replace(KEPT, answers=rows)]).cautions)


def rewarded(reward: Compared, control: Compared) -> SetReport:
    return made("held-out", "reward", reward, reward_sampled=compared(0.4, 0.7, 0.2, 0.4), control=control)


def test_a_reward_that_rose_is_better_and_says_what_sampled_answers_and_the_control_did():
    verdict = decide([rewarded(compared(0.5, 0.8, 0.2, 0.4), compared(0.9, 0.92, -0.01, 0.05))])
    assert verdict.kind == "better"
    assert "reward (greedy) on held-out rows rose from 50 % to 80 %" in verdict.text
    assert "sampled answers 40 % -> 70 %, the control score 90 % -> 92 %" in verdict.text


def test_a_reward_that_rose_while_the_control_fell_is_worse_and_says_why():
    verdict = decide([rewarded(compared(0.5, 1.0, 0.4, 0.6), compared(0.9, 0.3, -0.7, -0.5))])
    assert verdict.kind == "worse"
    assert any("learned to satisfy the verifier" in caution for caution in verdict.cautions)


def test_a_reward_that_hardly_moved_is_no_gain_even_where_preferred_answers_became_likelier():
    same = rewarded(compared(0.81, 0.84, -0.02, 0.09), compared(0.93, 0.97, 0.01, 0.07))
    pairs = {"pair_accuracy": compared(0.8, 1.0, 0.1, 0.3), "logp_chosen": compared(-2, -1, 0.5, 1.5)}
    assert decide([replace(same, metrics={**same.metrics, **pairs})]).kind == "no clear difference"
