"""Labels in report and page: accuracy decides, and the confusion matrix shows which label was taken for which."""

from __future__ import annotations

import numpy as np
import pytest

from studio.app.fragments import evidence
from studio.evaluation import page, verdict
from studio.evaluation.answering import text_scores
from studio.evaluation.figures import Side, figures
from studio.evaluation.likelihood import Likelihood
from studio.evaluation.metrics import METRICS
from studio.evaluation.report import Answered, ModelAnswer, Report, SetReport
from studio.evaluation.tasks import labels

WANTED = ["billing", "shipping", "returns"] * 10


def given(reference: str, text: str) -> ModelAnswer:
    return ModelAnswer(text, 1, True, {**labels.scorer(WANTED)(reference, text), **text_scores(reference, text), "loss": 1.0})


@pytest.fixture(scope="module")
def report() -> Report:
    """A base that always says billing; a tuned model that takes returns for shipping."""
    answers = [
        Answered("what about it?", label, given(label, "billing"), given(label, label.replace("returns", "shipping")))
        for label in WANTED
    ]
    rows = len(WANTED)
    side = Side(Likelihood(np.ones(rows), np.ones(rows), np.ones(rows)), [], None)
    metrics = figures(side, side, answers, labels.TASK, 200, 0)
    sides = [[getattr(answer, name).text for answer in answers] for name in ("base", "tuned")]
    part = SetReport(
        "held-out", rows, answers, metrics, labels.ACCURACY.name, labels.TASK.why,
        task="labels", confusion=labels.confusion(WANTED, *sides), best=[0], worst=[2], changed=[1],
    )  # fmt: skip
    return Report(sets=[part], verdict=verdict.decide([part]), device="CPU", resamples=200, seed=0)


def test_accuracy_and_macro_f1_are_compared_with_intervals(report: Report):
    accuracy, macro = (report.sets[0].metrics[name] for name in ("label_accuracy", "macro_f1"))
    assert (accuracy.base.value, accuracy.tuned.value) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert macro.tuned.value == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert report.verdict.text.startswith("Better: accuracy on held-out rows rose from 33 % to 67 %")


def test_the_report_and_the_page_show_which_label_was_taken_for_which(report: Report):
    matrix = report.sets[0].confusion
    assert matrix is not None
    assert matrix.tuned[matrix.labels.index("returns")][matrix.labels.index("shipping")] == 10
    html = page.render_html(report, [], "", "bot")
    assert "Confusion matrix" in html
    assert "answered label across" in str(evidence.before_and_after(report, METRICS))


def test_a_written_report_keeps_the_matrix(report: Report):
    assert Report.from_json(report.as_json()) == report


def test_a_metric_of_ones_own_stands_beside_the_others(report: Report):
    from studio.evaluation.tasks.own import Own

    found = report.with_own(Own("short", lambda answer, reference: len(answer) < 8))
    assert found.sets[0].metrics["own:short"].base.value == 1
    assert "short" in page.render_html(found, [], "", "bot")
    longer = report.with_own(Own("letters", lambda answer, reference: len(answer)))
    assert longer.sets[0].metrics["own-number:letters"].base.value == 7


def test_an_undecided_report_says_how_many_rows_would_decide(report: Report):
    part = report.sets[0]
    change = part.metrics["label_accuracy"].change
    from dataclasses import replace

    unsure = replace(part.metrics["label_accuracy"], change=replace(change, value=0.05, low=-0.1, high=0.2))
    cautions = verdict.decide([replace(part, metrics={**part.metrics, "label_accuracy": unsure})]).cautions
    assert any("about 560 rows like these would show it four times in five; there are 30" in item for item in cautions)
