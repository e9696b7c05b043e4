"""The third side of a pruned and healed model: the same rows, the parent's answers before, the healed model's after."""

from __future__ import annotations

from pathlib import Path

from studio.evaluation import parent
from studio.evaluation.interval import Estimate
from studio.evaluation.report import HELD_OUT, Answered, Compared, ModelAnswer, Report, SetReport, Verdict
from studio.models.pruning import PrunedModel

RECORD = PrunedModel(
    parent="bot-1", base="starter", layers=4, dropped=(2,), similarity=(0.1, 0.2, 0.9, 0.4), tokens=10, parameters=3,
    parent_parameters=4,
)  # fmt: skip


def given(right: bool) -> ModelAnswer:
    scores = dict.fromkeys(("exact_match", "normalised_match", "token_f1", "rouge_l"), float(right))
    return ModelAnswer("yes" if right else "no", 2, True, {**scores, "loss": 0.1})


def report(base: list[bool], tuned: list[bool], first: int = 0) -> Report:
    rows = [
        Answered(f"q{first + at}", "yes", given(one), given(other), "rows.jsonl", first + at + 1)
        for at, (one, other) in enumerate(zip(base, tuned, strict=True))
    ]

    def share(side: list[bool]) -> Estimate:
        return Estimate(sum(side) / len(side), 0.0, 1.0, len(side))

    same = Estimate(0.0, None, None, len(rows))
    metrics = {name: Compared(share(base), share(tuned), same) for name in ("exact_match", "loss", "stop_rate")}
    held_out = SetReport(HELD_OUT, len(rows), rows, metrics, "exact_match", "short")
    return Report(sets=[held_out], verdict=Verdict("better", "", ""), device="CPU", resamples=100, seed=0)


def test_rows_are_told_apart_by_question_and_answer_and_each_is_used_once():
    before, after = report([False] * 3, [True] * 3), report([False] * 3, [True, False, True], first=1)
    found = parent.against(before, after)
    assert found is not None
    assert [row.question for row in found.answers] == ["q1", "q2"]
    assert (found.name, found.before, found.rows) == ("parent:held-out", "parent", 2)
    figure = found.metrics["exact_match"]
    assert (figure.base.value, figure.tuned.value, figure.change.value) == (1.0, 0.5, -0.5)
    assert parent.against(before, report([False], [True], first=9)) is None


def test_the_verdict_says_what_the_layers_cost_and_what_healing_won_back(tmp_path: Path):
    file = tmp_path / "bot-1" / "evaluation" / "report.json"
    report([False] * 10, [True] * 10).write(file)
    after = report([True] * 2 + [False] * 8, [True] * 8 + [False] * 2)
    found = parent.beside(after, RECORD, tmp_path)
    assert found.verdict.cautions[0].startswith(
        "without 1 layer exact match fell from 100 % to 20 %; healing recovered 75 % of that, to 80 % "
        "(against the parent -20 points"
    )
    assert found.set("parent:held-out") is not None
    assert Report.from_json(found.as_json()) == found
    assert parent.beside(after, None, tmp_path) is after
    assert parent.beside(after, RECORD, tmp_path / "elsewhere") is after


def test_merged_adapters_are_judged_against_each_run_they_came_from_on_its_own_rows(tmp_path: Path):
    for name, first in (("a-1", 0), ("b-2", 10)):
        report([False] * 10, [True] * 10, first).write(tmp_path / name / "evaluation" / "report.json")
    merged = report([False] * 20, [True] * 10 + [False] * 10)
    found = parent.beside_merged(merged, ["a-1", "b-2", "hub:not/here", "a-1"], tmp_path)
    assert [item.name for item in found.sets[1:]] == ["parent:a-1", "parent:b-2"]
    assert "against a-1 alone exact match 100 % -> 100 % (0 points" in found.verdict.text
    assert "10 rows: no clear difference); against b-2 alone exact match 100 % -> 0 % (-100 points" in found.verdict.text
    assert found.verdict.text.endswith("10 rows: a clear loss).")
    assert found.verdict.cautions[0].startswith(
        "merging made b-2 clearly worse on its own rows: serve the adapters side by side"
    )
    assert Report.from_json(found.as_json()) == found
    assert parent.beside_merged(merged, [], tmp_path) is merged
