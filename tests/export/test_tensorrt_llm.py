"""TensorRT-LLM: merged weights with its options; all it reads is checked, nothing is said to have run that did not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from studio.core.errors import ExportError
from studio.core.files import read_json, sha256, write_json
from studio.export.artifacts.manifest import Artifact
from studio.export.make import Probe, Source, export
from studio.export.targets.tensorrt_llm import documented
from studio.export.targets.tensorrt_llm import write as trtllm
from studio.export.targets.tensorrt_llm.settings import TensorrtLlmTarget
from studio.export.targets.tensorrt_llm.verify import structure
from studio.models.settings import Model
from studio.tracking.reporter import Silent
from tests.export.conftest import make_source

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def made(source: Source, probe: Probe, merged: Artifact) -> Artifact:
    return export(TensorrtLlmTarget(), replace(source, longest=300), probe, Silent())


def test_its_structure_is_checked_and_it_says_that_it_was_not_run(made: Artifact) -> None:
    assert made.verification.passed is None
    assert made.verification.status == "structure checked, not run"
    assert made.verification.note.startswith("structure checked, not run: TensorRT-LLM needs an NVIDIA GPU")
    assert all(check.passed for check in made.verification.checks)
    assert made.verification.value("architecture") == "LlamaForCausalLM"
    assert float(made.verification.value("kl_mean") or 0) < 5e-3, "the weights were compared all the same"
    assert read_json(made.path / "artifact.json")["status"] == "structure checked, not run"
    assert "Structure checked, not run" in (made.path / "README.md").read_text()


def test_it_is_kept_and_not_made_again(made: Artifact, source: Source, probe: Probe) -> None:
    before = (made.path / "artifact.json").stat().st_mtime_ns
    again = export(TensorrtLlmTarget(), replace(source, longest=300), probe, Silent())
    assert (again.path / "artifact.json").stat().st_mtime_ns == before


def test_its_weights_are_those_of_the_merged_export(made: Artifact, merged: Artifact) -> None:
    for name in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", "generation_config.json"):
        assert sha256(made.path / name) == sha256(merged.path / name)


def test_its_options_are_the_runs_own_and_all_known(made: Artifact) -> None:
    options = yaml.safe_load((made.path / "trtllm.yaml").read_text())
    assert options["max_seq_len"] == 512, "as far as the starter goes"
    assert not list(documented.faults(options))
    adapter = yaml.safe_load((made.path / "trtllm-lora.yaml").read_text())["lora_config"]
    assert adapter["max_lora_rank"] == 8
    assert set(adapter["lora_target_modules"]) == {
        "attn_q", "attn_k", "attn_v", "attn_dense", "mlp_h_to_4h", "mlp_gate", "mlp_4h_to_h",
    }  # fmt: skip
    assert made.serve == [
        "trtllm-serve . --extra_llm_api_options trtllm.yaml",
        "trtllm-serve FOLDER_OF/starter --extra_llm_api_options trtllm-lora.yaml",
    ]


def test_what_its_reference_does_not_know_is_a_fault() -> None:
    wrong = {"max_seq_length": 4, "kv_cache_config": {"fraction": 0.5}, "guided_decoding_backend": "outlines", "dtype": 16}
    assert list(documented.faults(wrong)) == [
        "max_seq_length is not an option",
        "kv_cache_config.fraction is not an option",
        "guided_decoding_backend is 'outlines', not one of xgrammar, llguidance",
        "dtype is 16, not str",
    ]


@pytest.mark.parametrize(
    ("file", "change", "failed"),
    [
        ("config.json", {"architectures": ["Gemma2ForCausalLM"]}, "architecture"),
        ("config.json", {"rope_theta": None}, "config_fields"),
        ("config.json", {"torch_dtype": "float32"}, "number_format"),
        ("tokenizer_config.json", {"tokenizer_class": "TokenizersBackend"}, "tokenizer_class"),
    ],
)
def test_a_folder_it_would_misread_fails(
    made: Artifact, tmp_path: Path, file: str, change: dict[str, Any], failed: str
) -> None:
    for name in ("config.json", "tokenizer_config.json", "trtllm.yaml"):
        values = (made.path / name).read_text()
        (tmp_path / name).write_text(values)
    settled = {**read_json(tmp_path / file), **change}
    write_json(tmp_path / file, {key: value for key, value in settled.items() if value is not None or key not in change})
    assert [check.name for check in structure(tmp_path) if not check.passed] == [failed]


def test_an_adapter_that_is_more_than_lora_is_not_served_by_name(tmp_path: Path) -> None:
    plain = {"r": 16, "target_modules": ["q_proj", "v_proj"], "rank_pattern": {"q_proj": 32}}
    held: Any = SimpleNamespace(adapter=tmp_path, rank=16)
    write_json(tmp_path / "adapter_config.json", plain)
    found = trtllm.lora_options(held)
    assert found
    assert (found["max_lora_rank"], found["lora_target_modules"]) == (32, ["attn_q", "attn_v"])
    for more in ({"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"target_modules": ["q_proj", "embed_tokens"]}):
        write_json(tmp_path / "adapter_config.json", {**plain, **more})
        assert trtllm.lora_options(held) is None


def test_an_architecture_it_does_not_have_is_refused_before_merging(tmp_path: Path) -> None:
    from tests.tiny import make_model

    folder = make_model(tmp_path / "gemma", "gemma2", query_pre_attn_scalar=16)
    other = make_source(Model(name=str(folder), quantization="none", dtype="fp32"), tmp_path)
    with pytest.raises(ExportError, match="has no Gemma2ForCausalLM"):
        export(TensorrtLlmTarget(), other, Probe([]), Silent())
