"""Standard benchmarks: paired by document with the studio's intervals; and the harness itself, where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.app import standard_benchmarks as use_case
from studio.core.errors import EvaluationError, ExportError, SpecError
from studio.evaluation import lm_eval, standard
from studio.evaluation.standard import StandardReport
from studio.export import toolchains
from studio.tracking.reporter import Silent
from tests.evaluation.conftest import FACTS, conversation

needs_harness = pytest.mark.skipif(not toolchains.ready("lm-eval"), reason=str(toolchains.missing("lm-eval")))
SIDES = {
    "base": {"own": {"metric": "exact_match", "scores": {str(place): 0.0 for place in range(12)}}},
    "tuned": {"own": {"metric": "exact_match", "scores": {str(place): float(place != 3) for place in range(11, -1, -1)}}},
    "merged": {"own": {"metric": "exact_match", "scores": {str(place): 1.0 for place in range(11)}}},
}


def test_sides_are_paired_by_document_whatever_order_they_come_in(tmp_path: Path):
    [found] = standard.results(SIDES, ["own"])
    assert found.scores["tuned"][3] == 0
    assert len(found.scores["base"]) == len(found.scores["merged"]) == 11, "a document that one side lacks counts on none"
    report = StandardReport(tasks=(found,), harness="0", template=True)
    moved = found.change("tuned")
    assert moved.value == pytest.approx(10 / 11)
    assert moved.low is not None
    assert moved.low > 0.5
    assert report.sentences == ["own rose (+0.909, 11 documents)"]
    assert [row[3] for row in report.rows] == ["base", "tuned", "merged"]
    report.write(tmp_path / "standard.json")
    assert StandardReport.read(tmp_path / "standard.json") == report


def test_a_missing_environment_and_a_file_that_is_no_task_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run: Any = type("Run", (), {"folder": None})
    (tmp_path / "mine.yaml").write_text("name: x\n")
    with pytest.raises(SpecError, match="not a task"):
        use_case._task(run, str(tmp_path / "mine.yaml"))
    with pytest.raises(SpecError, match="no such task"):
        use_case._task(run, str(tmp_path / "none.yaml"))
    assert use_case._task(run, "arc_easy") == {"name": "arc_easy", "folder": ""}
    monkeypatch.setattr("studio.export.toolchains.known.root", lambda: tmp_path / "nowhere")
    with pytest.raises(ExportError, match="not installed") as caught:
        toolchains.python("lm-eval")
    assert "studio exporters install lm-eval" in caught.value.hint


@needs_harness
def test_the_harness_repeats_a_runs_own_rows_offline(base_folder: Path, tmp_path: Path):
    task = lm_eval.write(tmp_path / "task", "bot", [conversation(*fact) for fact in FACTS], 12)
    request = {
        "tasks": [{"name": task.name, "folder": str(task.folder)}],
        "model": {"name": str(base_folder), "quantization": "none", "dtype": "fp32"},
        "adapter": "", "side": "merged", "system": "", "limit": 4, "template": True,
    }  # fmt: skip
    found = toolchains.call("lm-eval", "studio.evaluation.harness:run", request, Silent())
    assert found["merged"][task.name]["metric"] == "exact_match"
    assert list(found["merged"][task.name]["scores"]) == ["0", "1", "2", "3"]
    unknown = [{"name": "no_such_task", "folder": str(task.folder)}]
    with pytest.raises(EvaluationError, match="cannot be run"):
        toolchains.call("lm-eval", "studio.evaluation.harness:run", {**request, "tasks": unknown}, Silent())
