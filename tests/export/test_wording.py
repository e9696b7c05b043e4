"""What a conversion cost is said by what was seen: identical answers have no interval."""

from __future__ import annotations

import numpy as np

from studio.evaluation.interval import Draws, change, mean
from studio.export.verification.result import ConversionCost, Figure
from studio.export.verification.wording import change as moved
from studio.export.verification.wording import sentence


def figure(before: list[int], after: list[int]) -> Figure:
    one, two = (mean(np.array(values, float), (0, 1)) for values in (before, after))
    return Figure(0.0, one.value, two.value, change(one, two, Draws(len(before), 200, 0)))


SAME = figure([1] * 54 + [0] * 6, [1] * 54 + [0] * 6)


def test_identical_answers_are_said_to_be_identical_and_have_no_interval() -> None:
    said = sentence("held-out", "exact_match", {"exact_match": SAME}, 60)
    assert said == ("Exact match on 60 held-out rows: 90 % with base + adapter, 90 % here (all 60 answers are identical)")
    assert moved("exact_match", SAME, identical=True) == "identical answers"


def test_as_good_answers_in_other_words_have_an_interval_and_are_counted() -> None:
    said = sentence("held-out", "exact_match", {"exact_match": SAME}, 57)
    assert "(0 points, 95 % interval -6 to +6; 57 of 60 answers identical)" in said
    assert moved("exact_match", SAME, identical=False) == "0 points, -6 to +6"


def test_likelihood_moves_though_every_answer_is_the_same() -> None:
    loss = figure([0] * 30 + [1] * 30, [0] * 29 + [1] * 31)
    assert "95 % interval" in sentence("held-out", "loss", {"loss": loss}, 60)
    assert "to" in moved("loss", loss, identical=True)


def test_text_that_is_only_read_counts_no_answers() -> None:
    text = figure([0, 1] * 10, [1, 1] * 10)
    assert "identical" not in sentence("general-text", "perplexity", {"perplexity": text, "loss": text}, None)


def test_an_export_knows_whether_its_answers_are_those_of_base_and_adapter() -> None:
    def cost(said: list[str]) -> ConversionCost:
        return ConversionCost(2, 2, "exact_match", 8, "", {}, [], answers=said, tuned_answers=["Paris", "Rome"])

    assert cost(["Paris", "Rome"]).identical
    assert not cost(["Paris", "rome"]).identical
    assert not cost([]).identical, "nothing was answered"
