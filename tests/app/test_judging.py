"""Judging a run: a canned judge, a person's blind ratings, and what becomes of both when the run is evaluated again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from studio.app import judging, runs
from studio.app.fragments import rate as show
from studio.core.errors import JobError, SpecError
from studio.evaluation.interval import Estimate
from studio.evaluation.report import Answered, Compared, ModelAnswer, Report, SetReport, Verdict
from tests.evaluation.test_judge import honest
from tests.remote.loopback import loopback


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run whose tuned model knows the answer and whose base does not; three answers are alike."""
    from studio.runs.folder import RunFolder

    folder = RunFolder(tmp_path / "home" / "runs" / "bot-0001")
    folder.report.parent.mkdir(parents=True)
    (folder.path / "asked.yaml").write_text("version: 1\nname: bot\ndata: {train: rows.jsonl}\n")

    def given(text: str) -> ModelAnswer:
        return ModelAnswer(text, 2, True, {"exact_match": 0.0})

    rows = [Answered(f"question {place}", "24 months", given(f"12 months {place}"), given("24 months")) for place in range(27)]
    rows += [Answered(f"same {place}", "24 months", given("24 months"), given("24 months")) for place in range(3)]
    figure = Compared(Estimate(0, 0, 0, 30), Estimate(1, 1, 1, 30), Estimate(1, 1, 1, 30))
    part = SetReport("held-out", 30, rows, {"exact_match": figure}, "exact_match", "")
    Report(sets=[part], verdict=Verdict("better", "b", "a"), device="CPU", resamples=100, seed=0).write(folder.report)
    return runs.Run(folder)


def judged(run: Any, answer: Any = honest, **more: Any) -> Any:
    with loopback(lambda body: answer(body["messages"][-1]["content"])) as api:
        return judging.judge(run, f"{api.url}#judge", run.folder.path.parents[1], **more)


def rate_all(run: Any, choose: Any) -> None:
    pairs, rated = judging.pairs_to_rate(run)
    for item in pairs:
        if item.index not in rated:
            judging.rate(run, item.key, choose(item))


def by_truth(item: Any) -> str:
    return "A" if "24" in item.a else "B"


def test_a_judge_and_a_person_who_agree_make_figures_that_count(run: Any):
    report = judged(run)
    assert len(report.pairs) == 27, "answers that are alike are not judged"
    assert not judging.opinion(run).decides
    pairs, _ = judging.pairs_to_rate(run)
    assert len(pairs) == 25
    assert {item.tuned_first for item in pairs} == {True, False}, "whose answer comes first is left to chance"
    for place, item in enumerate(pairs):  # one tie, or kappa could not tell agreement from always saying the same
        judging.rate(run, item.key, "tie" if place == 0 else by_truth(item))  # pyright: ignore[reportArgumentType]
    found = judging.opinion(run)
    assert found.rated == 25
    assert found.kappa is not None


def test_a_person_who_disagrees_makes_the_judge_grey(run: Any):
    judged(run)
    rate_all(run, lambda item: "B" if by_truth(item) == "A" else "A")
    found = judging.opinion(run)
    assert not found.decides
    assert any("kappa" in doubt for doubt in found.doubts)
    html = str(show.opinion(found, run.id))
    assert "judged soft" in html
    assert "These figures are not reliable" in html


def test_the_last_rating_of_a_pair_counts_and_others_are_refused(run: Any):
    pairs, _ = judging.pairs_to_rate(run)
    judging.rate(run, pairs[0].key, "A")
    judging.rate(run, pairs[0].key, "tie")
    assert judging.pairs_to_rate(run)[1] == {pairs[0].index: "tie"}
    with pytest.raises(JobError, match="no such pair"):
        judging.rate(run, "elsewhere", "A")


def test_neither_survives_another_evaluation(run: Any):
    judged(run)
    rate_all(run, by_truth)
    report = run.report
    part = report.sets[0]
    other = [dataclasses.replace(row, tuned=dataclasses.replace(row.tuned, text="36 months")) for row in part.answers]
    report.model_copy(update={"sets": [dataclasses.replace(part, answers=other)]}).write(run.folder.report)
    found = judging.opinion(runs.Run(run.folder))
    assert (found.report, found.rated) == (None, 0)
    assert "an earlier evaluation" in found.doubts[0]


def test_the_cost_is_shown_before_anything_is_paid_and_is_kept_under_the_ceiling(run: Any):
    seen: list[float] = []
    with loopback("{}") as api, pytest.raises(JobError, match="the judge was not asked"):
        judging.judge(
            run, f"{api.url}#judge", run.folder.path.parents[1], price=(1.0, 1.0), ceiling=1.0,
            confirm=lambda worst: bool(seen.append(worst)),
        )  # fmt: skip
    assert api.received == []
    assert 0 < seen[0] < 1
    with pytest.raises(SpecError, match="costs money"):
        judged(run, price=(1.0, 1.0))


def test_a_model_does_not_judge_itself(run: Any):
    with pytest.raises(SpecError, match="its own answers"):
        judging.judge(run, "starter", run.folder.path.parents[1])


def test_a_second_time_the_verdicts_come_from_the_cache(run: Any):
    with loopback(lambda body: honest(body["messages"][-1]["content"])) as api:
        for _ in range(2):
            judging.judge(run, f"{api.url}#judge", run.folder.path.parents[1], price=(1.0, 1.0), ceiling=1.0)
        assert len(api.bills) == 54
    assert judging.opinion(run).report is not None
    assert judging.opinion(run).report.cost == 0  # pyright: ignore[reportOptionalMemberAccess]


def test_a_shown_pair_says_nothing_of_whose_answer_it_is(run: Any):
    pairs, _ = judging.pairs_to_rate(run)
    html = str(show.pair(pairs[0], 1, 25)).lower()
    assert "base" not in html
    assert "tuned" not in html
    assert json.dumps(pairs[0].question)[1:-1] in html


def exported(run: Any, tmp_path: Path, wrong: int) -> Any:
    """A loopback-judged export of the run that answers `wrong` of its first ten questions wrongly."""
    from studio.evaluation.judge.settings import Judge
    from studio.export.verification.result import ConversionCost, Figure, Verification
    from studio.runs import export_judging
    from tests.export import made
    from tests.export.test_deploy import source

    figure = Figure(0.0, 1.0, 1.0, Estimate(0.0, 0.0, 0.0, 10))
    said = [f"12 months {place}" if place < wrong else "24 months" for place in range(10)]
    cost = ConversionCost(
        10, 30, "exact_match", 8, "as good", {"exact_match": figure}, [],
        indices=list(range(10)), answers=said, tuned_answers=["24 months"] * 10,
    )  # fmt: skip
    artifact = made.make(run.folder.exports, "merged", found=Verification(True, "x", evidence=cost))
    with loopback(lambda body: honest(body["messages"][-1]["content"])) as api:
        by = Judge(model=f"{api.url}#judge")
        home = run.folder.path.parents[1]
        return export_judging.judge(run.folder, source(tmp_path), artifact, by, home, lambda name: pytest.fail(name))


def test_an_export_is_judged_against_base_and_adapter_and_its_card_says_so(run: Any, tmp_path: Path):
    artifact = exported(run, tmp_path, 9)
    found = artifact.verification.judged
    assert (found.rows, found.judged, found.worse, found.better) == (10, 9, 9, 0)
    assert found.sentence.startswith("Judge on 10 questions: 9 worse and 0 better than with base + adapter (-90%")
    assert found.doubts, "nobody rated the run's pairs"
    assert artifact.verification.status == "verified", "a judge that nobody checked decides nothing"
    text = (artifact.path / "README.md").read_text()
    assert found.sentence in text
    assert "These figures decide nothing" in text
    assert artifact.is_whole()


def test_an_export_that_a_trusted_judge_finds_worse_loses_some(run: Any, tmp_path: Path):
    from studio.export.artifacts import manifest

    artifact = exported(run, tmp_path, 9)
    trusted = artifact.verification.judged.model_copy(update={"doubts": ()})
    lossy = dataclasses.replace(artifact.verification, judged=trusted)
    assert (lossy.status, lossy.losses) == ("verified, loses some", [trusted.sentence])
    assert manifest.read(artifact.path).verification.judged == artifact.verification.judged
    assert not exported(run, tmp_path, 0).verification.judged.surely_worse, "nothing differs, so nothing is asked"
