"""What is found out later about an export: a metric of one's own, what long answers state, and whether it is of now."""

from __future__ import annotations

from dataclasses import replace

from studio.evaluation.interval import Estimate
from studio.evaluation.report import Answered, Compared, ModelAnswer, Report, SetReport, Verdict
from studio.evaluation.tasks.own import Own
from studio.export.verification import stated
from studio.export.verification.evidence import Evidence, Row
from studio.export.verification.own import with_own
from studio.export.verification.probe import Probe
from studio.export.verification.result import ConversionCost, Figure, Verification

FIGURE = Compared(Estimate(0, 0, 0, 2), Estimate(1, 1, 1, 2), Estimate(1, 1, 1, 2))
TUNED, EXPORT = ["see page 3", "see page 4"], ["see page 3", "see there"]


def given(text: str) -> ModelAnswer:
    return ModelAnswer(text, 3, True, {})


ROWS = [Answered(f"q{place}", "page 3", given("no"), given(text)) for place, text in enumerate(TUNED)]
REPORT = Report(
    sets=[SetReport("held-out", 2, ROWS, {"exact_match": FIGURE}, "exact_match", "")],
    verdict=Verdict("better", "Better.", ""), device="cpu", resamples=100, seed=0,
)  # fmt: skip
COST = ConversionCost(
    2, 2, "exact_match", 8, "as good", {"exact_match": Figure(0, 1, 1, Estimate(0, 0, 0, 2))}, [],
    indices=[0, 1], answers=EXPORT, tuned_answers=TUNED,
)  # fmt: skip
FOUND = Verification(True, "x", evidence=COST)


def test_a_metric_of_ones_own_is_taken_of_the_answers_that_an_export_gave() -> None:
    measured = with_own(FOUND, REPORT, Own("page", lambda answer, reference: "page" in answer))
    assert measured is not None
    assert measured.evidence is not None
    figure = measured.evidence.metrics["own:page"]
    assert (figure.base, figure.tuned, figure.artifact, figure.change.value) == (0.0, 1.0, 0.5, -0.5)
    earlier = replace(FOUND, evidence=replace(COST, tuned_answers=["no", "nothing"]))
    assert with_own(earlier, REPORT, Own("page", lambda answer, reference: 1)) is None


def test_an_export_that_was_compared_with_answers_of_an_earlier_evaluation_is_known() -> None:
    rows = [Row(row.question, row.reference, [], [], [], row.base, row.tuned, place) for place, row in enumerate(ROWS)]
    probe = Probe([], Evidence(rows, "exact_match", 8, 2))
    assert probe.agrees_with(FOUND)
    assert not probe.agrees_with(replace(FOUND, evidence=replace(COST, tuned_answers=["see page 3", "else"])))
    assert probe.agrees_with(replace(FOUND, evidence=None)), "a structure that was checked and not run"


def test_numbers_and_names_that_an_export_repeats_are_counted_in_long_answers() -> None:
    reference = "It opened in 1901, 1902, 1903, 1904, 1905 and 1906."
    said = [given("In 1901 and 1999."), given("In 1999.")]
    kept = given("In 1901, 1902, 1903 and 1904.")
    rows = [Row(f"q{place}", reference, [], [], [], given("?"), kept, place) for place in range(2)]
    found = stated.sentence("rouge_l", rows, said)
    assert found == "; of 12 numbers and names in the references 8 are in the answers of base + adapter, 1 here"
    assert stated.sentence("exact_match", rows, said) == ""
