"""The run's own evidence again: the same rows, the same scores where nothing changed, an interval on what did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.core.files import read_json
from studio.data.rows import Conversation
from studio.evaluation.compare import compare
from studio.evaluation.report import ModelAnswer, Report
from studio.evaluation.sets import QuestionSet
from studio.evaluation.settings import Evaluation
from studio.export.artifacts import manifest
from studio.export.artifacts.card import card
from studio.export.make import export
from studio.export.merging.source import Source, source_tokenizer
from studio.export.targets.adapter.settings import AdapterTarget
from studio.export.verification import answers, evidence, limits
from studio.export.verification.evidence import Evidence, Row
from studio.export.verification.probe import Probe
from studio.export.verification.reference import reference, tuned
from studio.export.verification.result import Verification
from studio.tracking.reporter import Silent
from tests.export import made
from tests.export.conftest import talk

pytestmark = pytest.mark.torch

ROWS = [
    replace(talk(f"What does the {thing} cost?", f"It costs {price} euro."), file="rows.jsonl", line=price)
    for price, thing in enumerate(["lamp", "kettle", "clock", "chair", "table", "lamp"], 1)
]


GENERAL_ROWS = {
    "general": [replace(talk("What is 1 + 1?", "2"), file="x", line=1), replace(talk("Say yes.", "Yes."), file="x", line=2)],
    "general-text": [talk("Where is it?", "It is in the kitchen."), Conversation(text="The kettle is red. It is on the desk.")],
}


@pytest.fixture(scope="module")
def tokenizer(source: Source) -> Any:
    return source_tokenizer(source)


@pytest.fixture(scope="module")
def report(source: Source, tokenizer: Any) -> Report:
    settings = Evaluation(max_rows=5, max_new_tokens=12, resamples=100)
    sets = [QuestionSet("held-out", ROWS), *(QuestionSet(name, rows) for name, rows in GENERAL_ROWS.items())]
    return compare(tuned(source), tokenizer, sets, settings, seed=3)


@pytest.fixture(scope="module")
def wanted(report: Report, tokenizer: Any) -> Evidence:
    found = evidence.select_rows(report, ROWS, tokenizer, "assistant")
    assert found is not None
    return found


def test_the_rows_that_were_answered_are_asked_again_with_the_evaluation_s_limit(report: Report, wanted: Evidence) -> None:
    kept = report.sets[0].answers
    assert [row.tuned for row in wanted.rows] == [item.tuned for item in kept]
    assert (wanted.longest, wanted.answered, wanted.headline) == (12, 5, report.sets[0].headline)


def test_base_and_adapter_asked_again_score_what_they_scored(source: Source, tokenizer: Any, wanted: Evidence) -> None:
    cost = evidence.measure(answers.Transformers(tuned(source), tokenizer), tokenizer, wanted, Silent())
    assert {name: found.change.value for name, found in cost.metrics.items()} == pytest.approx(
        dict.fromkeys(cost.metrics, 0.0), abs=1e-5
    )
    assert cost.metrics["loss"].tuned == pytest.approx(cost.metrics["loss"].artifact, abs=1e-5)
    assert cost.lost == []
    assert evidence.check(cost, limits.EVIDENCE).passed


def test_of_a_model_beyond_the_gpus_memory_tokens_are_compared_and_the_evaluations_questions_are_not_answered_again(
    source: Source, probe: Probe, wanted: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studio.export.targets import merged_model
    from studio.export.verification import loading

    folder = merged_model.merged_folder(source, "dequantized", tmp_path / "merged", Silent())
    whole = replace(probe, evidence=wanted)
    assert merged_model.verify_merged(source, folder, "dequantized", whole, Silent()).evidence is not None
    said = "the merged model (16.0 GiB) is larger than the free memory"
    monkeypatch.setattr(loading, "beyond_gpu", lambda *_: said)
    heard: list[str] = []
    monkeypatch.setattr(Silent, "event", lambda self, event: heard.append(getattr(event, "message", "")))
    verification = merged_model.verify_merged(source, folder, "dequantized", whole, Silent())
    assert said in heard
    assert said in verification.note
    assert verification.evidence is None
    assert verification.passed
    assert verification.value("prompt_ids_identical") == 1.0


def test_a_runtime_is_opened_with_room_for_the_evidence(source: Source, probe: Probe, wanted: Evidence) -> None:
    long = replace(wanted, longest=900)
    known, _ = reference(source, replace(probe, evidence=long), Silent())
    assert known.longest == max(len(row.prompt) for row in wanted.rows) + 900 + 1


class Says:
    """A runtime that knows the right answers to all prompts but the first few, to which it says nothing."""

    def __init__(self, wanted: Evidence, tokenizer: Any, wrong: int) -> None:
        self.said = {tuple(row.prompt): tokenizer(row.reference).input_ids for row in wanted.rows}
        for row in wanted.rows[:wrong]:
            self.said[tuple(row.prompt)] = []

    def greedy(self, prompts: Sequence[Sequence[int]], longest: int) -> list[tuple[list[int], bool]]:
        return [(self.said[tuple(prompt)], True) for prompt in prompts]

    def logits(self, ids: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        return np.zeros((len(positions), 5000), np.float32)


def good(rows: int) -> Evidence:
    """Rows that base never and base + adapter always answered."""
    right = dict.fromkeys(("exact_match", "normalised_match", "token_f1", "rouge_l"), 1.0) | {"loss": 0.1}
    wrong = dict.fromkeys(right, 0.0)
    made = [
        Row(f"{place}?", "red", [place], [place, 7], [0], ModelAnswer("", 1, True, wrong), ModelAnswer("red", 2, True, right))
        for place in range(rows)
    ]
    return Evidence(made, "exact_match", 12, rows)


@pytest.mark.parametrize(("rows", "wrong", "passes"), [(64, 0, True), (64, 3, True), (64, 16, False), (6, 2, True)])
def test_a_clear_loss_fails_and_bad_luck_on_few_rows_does_not(tokenizer: Any, rows: int, wrong: int, passes: bool) -> None:
    wanted = good(rows)
    cost = evidence.measure(Says(wanted, tokenizer, wrong), tokenizer, wanted, Silent())
    judged = evidence.check(cost, limits.EVIDENCE)
    assert judged.passed is passes
    assert judged.value == pytest.approx(-wrong / rows)
    assert evidence.check(cost, None).passed
    assert len(cost.lost) == min(wrong, evidence.SHOWN)
    assert f"on {rows} held-out rows: 100 % with base + adapter" in judged.explanation


def test_the_cost_survives_its_manifest_and_is_told_in_the_readme(tokenizer: Any, source: Source, tmp_path: Path) -> None:
    wanted = good(64)
    cost = evidence.measure(Says(wanted, tokenizer, 4), tokenizer, wanted, Silent())
    artifact = made.make(tmp_path, found=Verification(True, "x", evidence=cost))
    read = manifest.read(artifact.path)
    assert read.verification.evidence == cost
    assert read == artifact
    text = card(source, read)
    assert "| Exact match | 0 % | 100 % | 94 % | -6 points" in text
    assert "64 of the 64 rows" in text


def test_an_export_tells_what_it_cost(source: Source, probe: Probe, wanted: Evidence, tmp_path: Path) -> None:
    artifact = export(AdapterTarget(), replace(source, exports=tmp_path), replace(probe, evidence=wanted), Silent())
    assert artifact.verification.value("evidence") == 0
    kept = read_json(artifact.path / "artifact.json")["verification"]["evidence"]
    assert kept["metrics"]["exact_match"]["tuned"] == kept["metrics"]["exact_match"]["artifact"]
    assert kept["sentence"] in (artifact.path / "README.md").read_text()


def test_long_answers_are_asked_of_fewer_rows_spread_over_all(report: Report, tokenizer: Any) -> None:
    one = report.sets[0].answers[0]
    long = replace(one, tuned=replace(one.tuned, tokens=evidence.TOKENS // 20))
    kept = [replace(long, line=line) for line in range(1, 101)]
    rows = [replace(ROWS[one.line - 1], line=line) for line in range(1, 101)]
    many = report.model_copy(update={"sets": [replace(report.sets[0], answers=kept)]})
    found = evidence.select_rows(many, rows, tokenizer, "assistant")
    assert found is not None
    assert len(found.rows) == 20
    assert found.answered == 100


def test_plain_text_has_no_answers_to_ask_again(report: Report, tokenizer: Any) -> None:
    none = report.model_copy(update={"sets": [replace(report.sets[0], answers=[], headline="loss")]})
    assert evidence.select_rows(none, [Conversation(text="Once upon a time.")], tokenizer, "all") is None


def test_the_forgetting_check_is_made_again_on_an_export(
    source: Source, probe: Probe, report: Report, tokenizer: Any, tmp_path: Path
) -> None:
    asked = evidence.select_general(report, GENERAL_ROWS, tokenizer, "assistant")
    assert [(item.name, item.known, len(item.rows)) for item in asked] == [("general", True, 2), ("general-text", False, 2)]
    there = replace(source, exports=tmp_path)
    made_there = export(AdapterTarget(), there, replace(probe, general=tuple(asked)), Silent())
    found = manifest.read(made_there.path).verification
    assert [item.set for item in found.general] == ["general", "general-text"]
    assert [item.metrics["loss"].change.value for item in found.general] == pytest.approx([0, 0], abs=1e-5)
    assert found.general[1].metrics["loss"].tuned == pytest.approx(report.sets[2].metrics["loss"].tuned.value, abs=1e-4)
    assert found.general[1].metrics["loss"].base == pytest.approx(report.sets[2].metrics["loss"].base.value, abs=1e-4)
    assert (found.status, found.losses) == ("verified", [])
    assert "2 general texts" in (made_there.path / "README.md").read_text()
    assert export(AdapterTarget(), there, replace(probe, general=tuple(asked)), Silent()).key == made_there.key


def test_an_export_that_forgets_loses_some_however_well_it_answers_what_was_trained(tokenizer: Any, source: Source) -> None:
    kept = replace(good(64), name="general")
    said = evidence.measure(Says(kept, tokenizer, 16), tokenizer, kept, Silent())
    assert said.forgot[0] == "exact_match"
    fine = evidence.measure(Says(good(64), tokenizer, 0), tokenizer, good(64), Silent())
    found = Verification(True, "x", evidence=fine, general=[said])
    assert (found.status, found.losses) == ("verified, loses some", [said.sentence])
    assert "Exact match on 64 general questions: 100 % with base + adapter, 75 % here" in found.statement
    assert said.sentence in card(source, made.make(source.exports / "forgets", found=found))
    assert evidence.shown(said).passed, "it is said, and does not fail"


def test_general_text_counts_as_forgotten_beyond_what_rounding_moves(tokenizer: Any) -> None:
    class Reads(Says):
        def logits(self, ids: Sequence[int], positions: Sequence[int]) -> np.ndarray:
            found = np.full((len(positions), 5000), -1e9, np.float32)
            found[:, 7], found[:, 8] = np.log(self.share), np.log(1 - self.share)
            return found

        share = 0.5

    given = ModelAnswer("", 0, True, {"loss": float(np.log(2))})
    rows = [Row("", "", [], [place, 7], [0], given, given) for place in range(9)]
    text = Evidence(rows, "perplexity", 0, 9, name="general-text", reads=True)
    runtime = Reads(text, tokenizer, 0)
    for share, forgot in ((0.49, []), (0.45, ["loss"])):
        runtime.share = share
        assert evidence.measure(runtime, tokenizer, text, Silent()).forgot == forgot
    assert evidence.measure(runtime, tokenizer, text, Silent()).metrics["perplexity"].artifact == pytest.approx(1 / 0.45)


def test_after_a_cross_validation_base_and_adapter_is_asked_itself(
    source: Source, probe: Probe, report: Report, tokenizer: Any, tmp_path: Path
) -> None:
    crossed = replace(report.sets[0], name="cross-validated", folds=2)
    found = evidence.select_rows(report.model_copy(update={"sets": [crossed]}), ROWS, tokenizer, "assistant")
    assert found is not None
    assert not found.known, "its answers are those of other models"
    _, complete = reference(replace(source, exports=tmp_path), replace(probe, evidence=found), Silent())
    assert complete.evidence is not None
    kept = [(row.base.text, row.tuned.text) for row in complete.evidence.rows if row.base and row.tuned]
    assert kept == [(item.base.text, item.tuned.text) for item in crossed.answers]
    cost = evidence.measure(Says(complete.evidence, tokenizer, 0), tokenizer, complete.evidence, Silent())
    assert "5 rows that were trained on" in cost.sentence
