"""Cross-validation: every row is answered by a model that has not seen it, and all folds together are one set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from studio import pipeline
from studio.core.errors import DataError, Stopped
from studio.data.folds import folds
from studio.evaluation import folds as cross
from studio.evaluation import more_rows
from studio.evaluation.compare import compare
from studio.evaluation.report import Report
from studio.evaluation.sets import QuestionSet
from studio.evaluation.settings import Evaluation
from studio.runs.cross_validation import MEASURED
from studio.runs.folder import create
from studio.runs.plan import PlanRecord
from studio.runs.recorder import Recorder
from studio.runs.rows import training_rows
from studio.spec import parse
from studio.tracking.reporter import Silent
from tests.evaluation.conftest import FACTS, conversation
from tests.tiny import THREADS

numeric = pytest.mark.numeric
ROWS = [conversation(*fact, line=line) for line, fact in enumerate(FACTS, 1)]
TWICE = [*ROWS, conversation("What is the PRICE of the lamp?", "it costs 20 euro", 7)]


def test_rows_that_ask_the_same_are_in_one_fold_and_the_folds_are_even():
    found = folds(TWICE, 3, seed=1)
    assert found[0] == found[6]
    assert sorted(found.count(fold) for fold in range(3)) == [2, 2, 3]
    backwards = folds(TWICE[::-1], 3, seed=1)
    assert backwards == found[::-1], "the order of the rows makes no difference"


def test_more_folds_than_questions_are_refused():
    with pytest.raises(DataError, match="6 different questions for 8 folds"):
        folds(TWICE, 8, seed=1)


@numeric
def test_all_folds_together_are_what_one_evaluation_of_all_rows_finds(tuned: Any, tokenizer: Any):
    settings = Evaluation(folds=3, resamples=200)
    plan = cross.prepare(ROWS, tokenizer, settings, seed=1, train_on="assistant", max_length=512)
    measured = [plan.measure(fold, tuned, tokenizer, Silent()) for fold in range(3)]
    assert sorted(index for item in measured for index in item.asked) == list(range(len(ROWS))), "each row once"
    found = plan.report(measured[::-1])
    whole = compare(tuned, tokenizer, [QuestionSet("held-out", ROWS)], settings, seed=1)
    assert [row.tuned.text for row in found.answers] == [row.tuned.text for row in whole.sets[0].answers]
    for name, figure in whole.sets[0].metrics.items():
        for side in ("base", "tuned", "change"):
            expected = getattr(figure, side)
            assert getattr(found.metrics[name], side).value == pytest.approx(expected.value, rel=1e-4, abs=1e-5), name
            assert getattr(found.metrics[name], side).low == pytest.approx(expected.low, rel=1e-4, abs=1e-5), name
    report = compare(tuned, tokenizer, [], settings, seed=1, cross_validated=found)
    assert report.unseen is not None
    assert report.verdict.kind == "better"
    assert "on cross-validated rows" in report.verdict.text
    assert any("one of 3 models" in caution for caution in report.verdict.cautions)
    assert Report.from_json(report.as_json()) == report


@numeric
def test_no_fold_is_trained_on_its_own_rows_and_a_stopped_run_goes_on_with_the_next(
    tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    from studio.training import fit

    (tmp_path / "rows.jsonl").write_text("".join(f'{{"prompt": "{q}", "completion": "{a}"}}\n' for q, a in FACTS))
    spec = parse(
        {
            "name": "few",
            "model": {"name": str(base_folder), "quantization": "none", "dtype": "fp32"},
            "data": {"train": str(tmp_path / "rows.jsonl"), "holdout": 0},
            "adapter": {"rank": 4},
            "training": {"epochs": 1, "batch_size": 2, "threads": THREADS},
            "evaluation": {"folds": 3, "general": "off", "resamples": 200, "max_new_tokens": 8},
            "tracking": {"wandb": "off"},
        }
    )
    folder = create(spec, tmp_path)
    recorder = Recorder(folder)
    trained: list[list[int]] = []
    whole, stop_at = fit.fit, [3]

    def recorded(base: Any, tokenizer: Any, job: Any, reporter: Any) -> Any:
        if len(trained) == stop_at[0]:
            raise Stopped
        trained.append([int(line) for line in job.train.positions[:, 1]])
        return whole(base, tokenizer, job, reporter)

    monkeypatch.setattr(fit, "fit", recorded)
    prepared = pipeline.make_ready(folder, spec, recorder)
    assert any("3 more trainings" in line for line in PlanRecord.read(folder.plan).summary)
    pipeline.train(folder, prepared, recorder)
    steps = len(list(folder.read_metrics()))
    with pytest.raises(Stopped):
        pipeline.evaluate(folder, prepared, recorder)
    assert len(trained) == 3, "the run's own model and two folds"
    stop_at[0] = 99
    pipeline.evaluate(folder, prepared, recorder)
    of_row = folds(training_rows(folder), 3, seed=prepared.spec.training.seed)
    assert trained[0] == [1, 2, 3, 4, 5, 6], "the run's own model is trained on all rows"
    for fold in range(3):
        assert trained[fold + 1] == [line for line, of in enumerate(of_row, 1) if of != fold], "what was measured stays"
    found = Report.read(folder.report).unseen
    assert found is not None
    assert (found.name, found.folds, found.rows, len(found.answers)) == ("cross-validated", 3, 6, 6)
    assert [item.name for item in sorted(folder.folds.rglob("*")) if item.is_file()] == [MEASURED] * 3, "no model is left"
    assert len(list(folder.read_metrics())) == steps, "the metrics of the folds are not the run's"
    assert "cross-validated" in folder.report_page.read_text("utf-8")


@numeric
@pytest.mark.parametrize("source", get_args(more_rows.HeldOutFrom))
def test_a_small_held_out_set_says_what_would_make_more_evidence_of_such_rows(report: Report, source: more_rows.HeldOutFrom):
    few = replace(report.sets[0], answers=[], metrics={"loss": report.sets[1].metrics["loss"]}, headline="loss")
    said = more_rows.caution(report.model_copy(update={"sets": [few]}), source)
    assert said == more_rows.advice(source)
    assert ("evaluation.folds" in said) == (source == "share"), "rows that somebody chose are not given up"
    assert more_rows.caution(report.model_copy(update={"sets": [replace(few, name="also:x")]}), source) == ""
