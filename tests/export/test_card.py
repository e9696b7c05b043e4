"""The model card: what the hub reads of it, what a person can trust in it, and what it never tells."""

from __future__ import annotations

import dataclasses
import functools
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from studio.data import desk_report, prepare
from studio.data.made_rows import MadeRows, Teacher
from studio.data.report import DataReport
from studio.data.settings import Data
from studio.evaluation.interval import Estimate
from studio.evaluation.report import Answered, Compared, ModelAnswer, Report, SetReport, Verdict
from studio.export.artifacts.card import card
from studio.export.merging.run_info import RunInfo, named, shown
from studio.export.merging.source import Source
from studio.models.finding import FoundModel
from studio.models.settings import Model
from studio.tracking.reporter import Silent
from tests.data import messy
from tests.export import made

SECRET = "hf_" + "abcdefgh" * 3


def figure(low: float, high: float) -> Compared:
    value = (low + high) / 2
    return Compared(
        Estimate(0.1, 0.0, 0.2, 36), Estimate(value, low, high, 36), Estimate(value - 0.1, low - 0.1, high - 0.1, 36)
    )


def report() -> Report:
    given = ModelAnswer(made.ROW, 3, True, {})
    answers = [Answered(made.ROW, made.ROW, given, given, "/home/me/support.csv", 3)]
    held = SetReport(
        "held-out", 36, answers, {"exact_match": figure(0.8, 0.9), "loss": figure(0.2, 0.3)}, "exact_match", "short"
    )
    general = SetReport("general", 40, answers, {"normalised_match": figure(0.4, 0.5)}, "normalised_match", "short")
    return Report(
        sets=[held, general],
        verdict=Verdict("better", "Better: 85 % exact, base 10 %.", "Ship it.", ["36 rows only"]),
        device="cpu",
        resamples=1000,
        seed=42,
    )


@functools.cache
def data_report() -> DataReport:
    """The report on 350 usable rows, one of them a customer's own, and 10 that are rejected."""
    rows = [{"question": f"{made.ROW} {number}", "answer": f"answer {number}"} for number in range(350)]
    rows += [{"question": "", "answer": "x"}] * 10
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "customers" / "support.jsonl"
        file.parent.mkdir()
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return prepare.prepare(Data(train=str(file), holdout=0.1), 0, Path(folder) / "out")


def about() -> RunInfo:
    spec = {
        "name": "bot",
        "model": {"name": "Qwen/Qwen3-8B", "revision": "a" * 40},
        "data": {"train": ["/home/me/customers/support.csv"], "max_length": 512, "system": f"The key is {SECRET}."},
        "evaluation": {"also": ["~/more.csv"]},
        "tracking": {"note": "for the board"},
        "export": [],
    }
    return RunInfo(spec, data_report(), report())


@pytest.fixture
def source(tmp_path: Path) -> Source:
    base = FoundModel("Qwen/Qwen3-8B", "Qwen/Qwen3-8B", "a" * 40, False, "apache-2.0", True, {"max_position_embeddings": 40960})
    return Source(
        base,
        Model(name="Qwen/Qwen3-8B", quantization="nf4", dtype="bf16"),
        tmp_path,
        "Support Bot",
        tmp_path,
        longest=512,
        about=about(),
    )


def read(text: str, tmp_path: Path) -> Any:
    from huggingface_hub import ModelCard

    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    return ModelCard.load(tmp_path / "README.md", ignore_metadata_errors=False)


@pytest.mark.parametrize(
    ("kind", "library", "relation"),
    [("merged", "transformers", "finetune"), ("adapter", "peft", "adapter"), ("gguf", "gguf", "quantized")],
)
def test_the_hub_reads_licence_base_library_and_relation(
    source: Source, tmp_path: Path, kind: str, library: str, relation: str
) -> None:
    found = read(card(source, made.make(tmp_path / "exports", kind)), tmp_path)
    data = found.data.to_dict()
    assert data["license"] == "apache-2.0"
    assert data["base_model"] == "Qwen/Qwen3-8B"
    assert data["base_model_relation"] == relation
    assert data["library_name"] == library
    assert data["pipeline_tag"] == "text-generation"
    assert "slm-studio" in data["tags"]
    assert "datasets" not in data, "local data has no name on the hub"
    assert found.text.startswith("# Support Bot")


def test_a_base_in_a_folder_is_called_what_the_user_says(source: Source, tmp_path: Path) -> None:
    folder = FoundModel("/models/hf", "/models/hf", None, True, "mit", True, {"max_position_embeddings": 40960})
    nameless = dataclasses.replace(source, base=folder)
    text = card(nameless, made.make(tmp_path / "one", "adapter"))
    assert "base_model" not in read(text, tmp_path).data.to_dict()
    assert "Trained on hf." in text
    assert 'from_pretrained("FOLDER_OF/hf")' in text
    known = dataclasses.replace(source, base=dataclasses.replace(folder, hub_id="acme/base"))
    text = card(known, made.make(tmp_path / "two", "adapter"))
    data = read(text, tmp_path).data.to_dict()
    assert (data["base_model"], data["license"]) == ("acme/base", "mit")
    assert "Trained on acme/base. Licence: mit" in text
    assert 'from_pretrained("acme/base")' in text


def test_the_hub_reads_the_results_with_their_intervals(source: Source, tmp_path: Path) -> None:
    from huggingface_hub.repocard_data import model_index_to_eval_results

    text = card(source, made.make(tmp_path / "exports"))
    front = yaml.safe_load(text.split("---")[1])
    name, results = model_index_to_eval_results(front["model-index"])
    assert name == "Support Bot"
    exact = next(item for item in results if item.dataset_name == "held-out")
    assert exact.metric_type == "exact_match"
    assert exact.metric_value == pytest.approx(0.85)
    assert "95 % interval 80 to 90 %, 36 rows" in (exact.metric_name or "")
    assert read(text, tmp_path).data.eval_results


def test_a_person_reads_evidence_forgetting_data_licence_use_and_limits(source: Source, tmp_path: Path) -> None:
    text = card(source, made.make(tmp_path / "exports"))
    assert "Better: 85 % exact, base 10 %." in text
    assert "- 36 rows only" in text
    assert "| general | Normalised match * |" in text
    assert "a loss there is what the tuning forgot" in text
    assert f"| support.jsonl | 360 | `{data_report().files[0].sha256}` |" in text
    assert "350 of 360 rows were usable, 10 rejected, 315 trained on, 35 held out" in text
    assert f"at commit `{'a' * 40}`" in text
    assert "| kl_mean | 1e-05 | 0.001 | near |" in text
    for heading in (
        "Base model and licence",
        "Data",
        "Evidence",
        "How near this export answers",
        "Intended use",
        "Limits",
        "Run it",
    ):
        assert f"\n## {heading}\n" in text
    assert "up to 512 tokens" in text


def test_what_the_data_checks_found_is_named_without_a_text_of_a_row(source: Source, tmp_path: Path) -> None:
    file = tmp_path / "hilfe.csv"
    file.write_bytes(messy.export())
    prepare.prepare(Data(train=str(file), holdout=0.1), 0, tmp_path / "out")
    checked = desk_report.check_rows(tmp_path / "out" / "train.jsonl", (), Silent())
    told = dataclasses.replace(about(), checked=checked)
    text = card(dataclasses.replace(source, about=told), made.make(tmp_path / "exports"))
    assert f"Checks of the content of {checked.rows} training rows found:" in text
    assert "| rows ask what another row asks and answer otherwise | 2 |" in text
    assert "| texts hold personal data |" in text
    assert "helga.muster" not in text
    assert "Werkstatt" not in text


def test_rows_that_a_model_wrote_are_named_with_its_terms(source: Source, tmp_path: Path) -> None:
    teacher = Teacher(host="api.example.com", model="big-1", served=("big-1-2026",), terms=f"May be trained on. {SECRET}")
    rows = MadeRows(job="j", teacher=teacher, prompts=("questions/1",), documents=("a", "b", "c"), held_out_documents=("c",))
    held_out = rows.model_copy(update={"recipes": {"questions": 2}})
    source = dataclasses.replace(source, about=dataclasses.replace(source.about, made_rows=(rows, held_out)))
    text = card(source, made.make(tmp_path / "exports", "merged"))
    assert text.count("Rows were written by") == 1, "one job's training rows and held-out rows have one origin"
    assert "Rows were written by big-1 at api.example.com (served as big-1-2026) from 2 documents" in text
    assert "1 whole documents were held out" not in text
    assert "Cost: 0.0000 dollars. Prompts: questions/1." in text
    assert "May be trained on." in text
    assert SECRET not in text


def test_no_row_no_place_and_no_secret_is_told(source: Source, tmp_path: Path) -> None:
    text = card(source, made.make(tmp_path / "exports"))
    for word in (made.ROW, "/home/me", "~/more", SECRET, "for the board"):
        assert word not in text, word
    settings = yaml.safe_load(text.split("```yaml\n")[1].split("\n```")[0])
    assert settings["data"]["train"] == ["support.csv"]
    assert settings["evaluation"]["also"] == ["more.csv"]
    assert settings["model"]["revision"] == "a" * 40
    assert "[hidden]" in settings["data"]["system"]


def test_a_run_of_which_little_is_known_has_a_card_that_says_so(source: Source, tmp_path: Path) -> None:
    base = dataclasses.replace(source.base, name="starter", path_or_id="/opt/starter", local=True, license="qwen-research")
    plain = dataclasses.replace(source, base=base, about=RunInfo())
    text = card(plain, made.make(tmp_path / "exports", "gguf", made.unrun()))
    data = read(text, tmp_path).data.to_dict()
    assert data["license"] == "other"
    assert data["license_name"] == "qwen-research"
    assert "base_model" not in data
    assert "None: base and tuned model were not compared." in text
    assert "**Structure checked, not run: it needs a phone**" in text
    assert "/opt" not in text


def test_a_dataset_of_the_hub_is_named(source: Source, tmp_path: Path) -> None:
    there = RunInfo({"data": {"train": ["hub:me/faq", "hub:me/more:config"]}})
    text = card(dataclasses.replace(source, about=there), made.make(tmp_path / "exports"))
    assert read(text, tmp_path).data.to_dict()["datasets"] == ["me/faq", "me/more"]


@pytest.mark.parametrize(
    ("value", "safe"),
    [("/a/b/c.csv", "c.csv"), (r"C:\data\rows.csv", "rows.csv"), ("~/x/", "x"), ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
     ("/one\n/two", "/one\n/two"), ("plain words", "plain words")],
)  # fmt: skip
def test_a_place_is_told_by_its_last_name_only(value: str, safe: str) -> None:
    assert named(value) == safe
    assert shown({"a": [value]}) == {"a": [safe]}
