"""Each target from a real 4-bit base and adapter to a folder that its own runtime answers from as the adapter did."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from studio.core.files import read_json, sha256
from studio.data.rows import Conversation
from studio.export.artifacts.manifest import Artifact
from studio.export.artifacts.push import RECORD, PushHistory, PushRecord, pushes
from studio.export.llamacpp import runtime
from studio.export.llamacpp.files import gguf_in
from studio.export.make import Probe, Source, export
from studio.export.merging.source import source_tokenizer
from studio.export.resources import KEPT
from studio.export.targets.adapter.settings import AdapterTarget
from studio.export.targets.gguf import verify as verify_gguf
from studio.export.targets.gguf.settings import GgufTarget
from studio.export.targets.merged.settings import MergedTarget
from studio.export.targets.merged_model import merged_export, merged_folder
from studio.export.verification import answers
from studio.export.verification.reference import reference
from studio.models.settings import Model
from studio.tracking.reporter import Silent
from tests.export.conftest import make_source, talk

pytestmark = pytest.mark.torch


def kl(artifact: Artifact) -> float:
    return float(artifact.verification.value("kl_mean") or 0)


def texts(folder: Path) -> dict[str, str]:
    """Every text file of an export."""
    return {file.name: file.read_text() for file in folder.iterdir() if file.suffix not in (".safetensors", ".gguf", ".model")}


def test_merged_onto_the_dequantised_base_answers_as_base_and_adapter_did(merged: Artifact) -> None:
    assert merged.verification.passed
    assert kl(merged) < 1e-4
    assert merged.verification.value("prompt_ids_identical") == 1.0
    assert float(merged.verification.value("greedy_identical") or 0) >= 0.5, "answers may fork at a near tie, not all of them"
    assert merged.details["onto"] == "dequantized"


def test_merged_onto_the_original_weights_is_further_away_and_says_so(source: Source, probe: Probe, merged: Artifact) -> None:
    other = export(MergedTarget(merge_into="original"), source, probe, Silent())
    assert other.folder == "merged-original"
    assert kl(other) > 20 * kl(merged)
    assert "original weights" in read_json(other.path / "artifact.json")["details"]["statement"]
    assert "original weights" in (other.path / "README.md").read_text()
    assert f"| kl_mean | {kl(other):.3g} |" in (other.path / "README.md").read_text()


def test_merged_opens_in_older_runtimes_and_under_another_user(source: Source, merged: Artifact) -> None:
    config = read_json(merged.path / "config.json")
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"]
    assert config["torch_dtype"] == config["dtype"] == "bfloat16"
    assert "rope_scaling" in config
    assert "quantization_config" not in config
    assert read_json(merged.path / "tokenizer_config.json")["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert (merged.path / "chat_template.jinja").read_text() == source_tokenizer(source).chat_template
    end = source_tokenizer(source).convert_tokens_to_ids("<|im_end|>")
    assert read_json(merged.path / "generation_config.json")["eos_token_id"] == end
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o644 for file in merged.path.iterdir())


def test_no_export_names_a_place_on_this_machine(source: Source, probe: Probe, merged: Artifact) -> None:
    for artifact in (merged, export(AdapterTarget(), source, probe, Silent())):
        for name, text in texts(artifact.path).items():
            assert str(source.exports.parent) not in text, name
            assert source.base.path_or_id not in text, name


def test_plain_peft_loads_the_adapter_and_answers_the_same(source: Source, probe: Probe) -> None:
    from peft import PeftModel
    from transformers import AutoTokenizer

    from studio.models import loading

    artifact = export(AdapterTarget(), source, probe, Silent())
    model = PeftModel.from_pretrained(loading.load_base(source.model, "cpu", source.base), artifact.path)
    known, _ = reference(source, probe, Silent())
    asked = answers.Transformers(model, AutoTokenizer.from_pretrained(artifact.path))
    assert answers.distances([known.forced], asked, known.cases, Silent())[0].kl < 1e-9
    assert read_json(artifact.path / "adapter_config.json")["base_model_name_or_path"] == "starter"
    assert "--max-lora-rank 8" in artifact.serve[0]


def test_the_manifest_tells_all_and_every_hash_is_true(source: Source, merged: Artifact) -> None:
    manifest = read_json(merged.path / "artifact.json")
    assert {file["path"] for file in manifest["files"]} == {file.name for file in merged.path.iterdir()} - {"artifact.json"}
    assert all(sha256(merged.path / file["path"]) == file["sha256"] for file in manifest["files"])
    assert manifest["bytes"] == sum((merged.path / file["path"]).stat().st_size for file in manifest["files"])
    assert manifest["sources"]["base"]["license"] == "apache-2.0"
    assert manifest["sources"]["base"]["weights"]["model.safetensors"] == sha256(
        Path(source.base.path_or_id) / "model.safetensors"
    )
    assert manifest["sources"]["adapter"] == {
        file.name: sha256(file) for file in source.adapter.iterdir() if file.name.startswith("adapter_")
    }
    assert {"torch", "transformers", "peft", "bitsandbytes", "gguf", "cyllama"} <= set(manifest["versions"])
    assert manifest["status"] == "verified"
    assert manifest["serve"][0] == "vllm serve . --served-model-name support-bot"
    assert all(check["explanation"] for check in manifest["verification"]["checks"])
    assert len(manifest["verification"]["samples"]) == 4


def test_a_verified_export_is_left_alone_and_the_reference_is_computed_once(
    source: Source, probe: Probe, merged: Artifact
) -> None:
    before = {file: file.stat().st_mtime_ns for file in [*merged.path.iterdir(), *(source.exports / KEPT).rglob("*")]}
    assert export(MergedTarget(), source, probe, Silent()) == merged
    export(AdapterTarget(), source, probe, Silent())
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_what_is_made_from_the_merged_model_takes_the_merged_export_and_merges_no_second_time(
    source: Source, merged: Artifact, tmp_path: Path
) -> None:
    assert merged_export(source, "dequantized") == merged.path
    assert merged_folder(source, "dequantized", tmp_path, Silent()) == merged.path
    assert not list(tmp_path.iterdir())


def test_an_export_whose_file_is_gone_is_made_again_and_still_tells_where_it_was_pushed(source: Source, probe: Probe) -> None:
    first = export(AdapterTarget(), source, probe, Silent())
    pushed = PushRecord(
        repository="me/bot", url="https://hub/me/bot", commit="c" * 40, private=True, status="verified", files=1, bytes=1,
        removed=[], pushed_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    record = PushHistory(pushes=[pushed]).write(first.path / RECORD)
    (first.path / "adapter_model.safetensors").unlink()
    again = export(AdapterTarget(), source, probe, Silent())
    assert again.is_whole()
    assert pushes(again.path) == [pushed]
    assert RECORD not in {file.path for file in again.files}, "it is no part of the export"
    record.unlink()


def test_gguf_files_answer_in_llama_cpp_from_the_merged_export(source: Source, probe: Probe, merged: Artifact) -> None:
    seen = {}
    for quant in ("f16", "q8_0", "q4_k_m"):
        artifact = export(GgufTarget(quant=quant), source, probe, Silent())
        seen[quant] = artifact
        assert artifact.verification.passed
        assert artifact.verification.value("prompt_ids_identical") == 1.0
        assert "1 left out" in artifact.verification.checks[0].explanation, "a control token's text is a token to llama.cpp"
    assert kl(seen["f16"]) < 1e-4 < kl(seen["q8_0"]) < kl(seen["q4_k_m"]) < 0.5


def test_a_quantised_file_says_what_a_weight_really_takes(source: Source, probe: Probe, merged: Artifact) -> None:
    details = export(GgufTarget(quant="q4_k_m"), source, probe, Silent()).details
    assert "Q4_K" in details["tensors"]
    assert 4.5 < details["bits_per_weight"] < 5.5
    assert details["onto"] == "dequantized"


def test_a_gguf_export_serves_with_the_template_and_stop_word_that_were_trained(
    source: Source, probe: Probe, merged: Artifact
) -> None:
    artifact = export(GgufTarget(), source, probe, Silent())
    text = (artifact.path / "Modelfile").read_text()
    assert text.startswith("FROM ./support-bot-q8_0.gguf\n")
    assert 'PARAMETER stop "<|im_end|>"' in text
    assert '{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}<|im_end|>\n' in text
    assert artifact.serve[0] == "llama-server -m support-bot-q8_0.gguf --jinja --temp 0"
    assert not list(artifact.path.glob(".*"))
    with runtime.opened(gguf_in(artifact.path), 64) as model:
        assert "endgeneration" not in model.template
        assert model.ends(source_tokenizer(source).convert_tokens_to_ids("<|im_end|>"))


def test_gguf_without_a_merged_export_merges_aside(tmp_path: Path, probe: Probe) -> None:
    source = make_source(Model(name="starter", quantization="none", dtype="fp32"), tmp_path, use_dora=True)
    artifact = export(GgufTarget(quant="f16"), source, probe, Silent())
    assert artifact.verification.passed
    assert artifact.details["onto"] == "original"
    assert "unquantised" in artifact.details["statement"]
    assert sorted(item.name for item in source.exports.iterdir() if item.is_dir()) == [KEPT, "gguf-f16"]
    adapter = export(AdapterTarget(), source, probe, Silent())
    assert adapter.serve == []
    assert "merged" in (adapter.path / "README.md").read_text()


def test_int8_is_merged_into_what_it_was_trained_on(tmp_path: Path, probe: Probe) -> None:
    source = make_source(Model(name="starter", quantization="int8", dtype="fp32"), tmp_path)
    assert kl(export(MergedTarget(), source, probe, Silent())) < 2e-3


def test_without_llama_cpp_a_file_is_not_called_verified(
    source: Source, probe: Probe, merged: Artifact, tmp_path: Path, monkeypatch: Any
) -> None:
    other = Source(source.base, source.model, source.adapter, "Other", tmp_path / "exports")
    monkeypatch.setitem(__import__("sys").modules, "cyllama.llama.llama_cpp", None)
    artifact = export(GgufTarget(quant="q8_0"), other, probe, Silent())
    assert artifact.verification.passed is None
    assert read_json(artifact.path / "artifact.json")["status"] == "not verified"
    assert "pip install cyllama" in artifact.verification.note


def test_a_run_without_held_out_rows_is_asked_general_questions(source: Source) -> None:
    artifact = export(AdapterTarget(), source, Probe([]), Silent())
    assert artifact.verification.passed
    known, _ = reference(source, Probe([]), Silent())
    assert all(case.positions for case in known.cases)


def test_plain_text_rows_are_compared_too(source: Source) -> None:
    known, _ = reference(source, Probe([Conversation(text="The Aria lamp costs 24 euro. It is red.")]), Silent())
    assert known.cases[0].positions


def probe_without_marks(probe: Probe) -> Probe:
    return Probe([row for row in probe.conversations if "<|" not in json.dumps(row.messages)])


def test_prompts_of_a_gguf_file_are_made_as_its_server_makes_them(source: Source, probe: Probe, merged: Artifact) -> None:
    artifact = export(GgufTarget(quant="f16"), source, probe, Silent())
    tokenizer = source_tokenizer(source)
    with runtime.opened(gguf_in(artifact.path), 256) as model:
        for row in probe_without_marks(probe).conversations:
            assert verify_gguf.prompt(model, tokenizer, row) == answers.case(row, tokenizer).prompt
        assert verify_gguf.prompt(model, tokenizer, probe.conversations[-1]) is None
        assert model.tokenize("Hi", special=True) == tokenizer("Hi").input_ids


def test_an_answer_is_scored_with_its_end_token(source: Source) -> None:
    tokenizer = source_tokenizer(source)
    case = answers.case(talk("Hi?", "Hello."), tokenizer)
    assert tokenizer.decode([case.ids[place + 1] for place in case.positions]) == "Hello.<|im_end|>"
    assert case.ids[: len(case.prompt)] == case.prompt
