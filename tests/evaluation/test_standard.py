"""Standard benchmarks: paired by document with the studio's intervals; and the harness itself, where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.app import standard_benchmarks as use_case
from studio.app.fragments import evidence as fragments
from studio.core.errors import EvaluationError, ExportError, SpecError
from studio.evaluation import lm_eval, standard
from studio.evaluation.page import _html
from studio.evaluation.standard import StandardReport
from studio.export import toolchains
from studio.export.llamacpp.harness import Measured
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


def test_scores_stand_on_the_report_page_and_in_a_frame_with_what_was_not_measured():
    report = StandardReport(
        tasks=standard.results(SIDES, ["own"]), harness="0.4", template=True, limit=12, skipped=("onnx: not loaded",)
    )
    shown = str(_html("standard", report))
    for words in ("own rose (+0.909, 11 documents)", "the first 12 documents", "Not measured: onnx: not loaded."):
        assert words in shown
        assert words in str(fragments.standard(report)) or "rose" in words
    frame = report.to_pandas()
    assert list(frame["model"]) == ["base", "tuned", "merged"]
    assert frame["change_low"][1] > 0.5


class Counts:
    """A runtime whose likeliest next token is the one after the last."""

    def logits(self, ids: Any, positions: Any) -> np.ndarray:
        found = np.zeros((len(positions), 10), np.float32)
        for row, position in enumerate(positions):
            found[row, (ids[position] + 1) % 10] = 5.0
        return found

    def greedy(self, prompts: Any, longest: int) -> list[tuple[list[int], bool]]:
        return [([(prompt[-1] + step) % 10 for step in range(1, longest + 1)], False) for prompt in prompts]


class Digits:
    """A tokenizer of digits."""

    bos_token, eos_token_id, name_or_path = "", 0, "a/b"

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        return [int(sign) for sign in text]

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        return "".join(map(str, ids))


def test_a_gguf_file_is_scored_as_the_harness_asks():
    model = Measured(Counts(), Digits(), 6)
    (sure, greedy), (unsure, other) = model._loglikelihood_tokens([(None, [1, 2], [3, 4]), (None, [1, 2], [3, 5])])
    assert (greedy, other) == (True, False)
    each = 5 - np.log(np.exp(5) + 9)
    assert sure == pytest.approx(2 * each)
    assert unsure == pytest.approx(2 * each - 5)
    assert model._loglikelihood_tokens([(None, [1, 2, 3, 4, 5], [6, 7])])[0][1], "the beginning of what is too long is cut"
    assert model._answer("12", {"max_gen_toks": 4}) == "3456"
    assert model._answer("12", {"max_gen_toks": 4, "until": ["5"]}) == "34"
    with pytest.raises(EvaluationError, match="samples its answers"):
        model._answer("12", {"do_sample": True, "temperature": 0.8})


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
