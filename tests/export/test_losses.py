"""What an export loses is said: three states, the figure and the better choice, on its card and before it is made."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from studio.core.errors import ExportError
from studio.evaluation.interval import Estimate
from studio.evaluation.report import Compared
from studio.export.artifacts import deploy, manifest, push
from studio.export.artifacts.card import card, forgotten
from studio.export.llamacpp.formats import bits_per_weight, fallback_note
from studio.export.make import advice
from studio.export.targets import AnyTarget
from studio.export.targets.gguf.settings import GgufTarget
from studio.export.targets.merged_4bit.settings import Merged4BitTarget
from studio.export.targets.merged_model import copy_merged
from studio.export.verification.loading import beyond_gpu
from studio.export.verification.probe import spread
from studio.export.verification.result import LOSES_SOME, Check, ConversionCost, Figure, Verification
from studio.hardware.machine import probe
from studio.models.dims import model_dims
from tests.export import made
from tests.export.conftest import talk
from tests.export.test_card import report, source  # noqa: F401 - a fixture

SMOL = {"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "vocab_size": 49152,
        "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True}  # fmt: skip
"""The dimensions of SmolLM2-135M."""


def cost(low: float, high: float) -> ConversionCost:
    """Exact match that moved from 98 % by a change with this interval."""
    change = Estimate((low + high) / 2, low, high, 60)
    figure = Figure(0.1, 0.98, 0.98 + change.value, change)
    return ConversionCost(60, 60, "exact_match", 32, "Exact match on 60 held-out rows: 98 → 87 %", {"exact_match": figure}, [])


def verification(low: float, high: float, passed: bool = True) -> Verification:
    return Verification(passed, "llama.cpp", [Check("kl_mean", 0.1, 0.5, True, "near")], evidence=cost(low, high))


@pytest.mark.parametrize(
    ("low", "high", "passed", "status"),
    [(-0.05, 0.02, True, "verified"), (-0.2, -0.03, True, LOSES_SOME), (-0.3, -0.1, False, "failed")],
)
def test_a_sure_loss_within_the_limit_is_a_state_of_its_own(low: float, high: float, passed: bool, status: str) -> None:
    found = verification(low, high, passed)
    assert found.status == status
    assert found.loses_some is (high < 0)
    assert found.holds is passed, "one that loses some may still be used"


def test_the_card_of_a_lossy_export_shows_its_own_score_once(source: Any, tmp_path: Path) -> None:  # noqa: F811
    artifact = made.make(tmp_path / "exports", "gguf", verification(-0.2, -0.03))
    text = card(source, artifact)
    results = yaml.safe_load(text.split("---")[1])["model-index"][0]["results"]
    metrics = [metric for item in results for metric in item["metrics"] if metric["type"] == "exact_match"]
    assert [metric["value"] for metric in metrics] == [pytest.approx(0.865)]
    assert "this export, 60 rows" in metrics[0]["name"]
    assert {item["dataset"]["name"] for item in results} == {"held-out"}, "the other sets were not asked of it"
    assert "**It answers worse than base + adapter**" in text
    assert "This export answers worse than the tuned model it was made from" in text


def test_what_the_tuning_forgot_is_a_limit_on_the_card_and_beside_the_server(source: Any, tmp_path: Path) -> None:  # noqa: F811
    plain = report()
    worse = Compared(Estimate(0.2, 0.1, 0.3, 40), Estimate(0.06, 0.0, 0.1, 40), Estimate(-0.14, -0.2, -0.1, 40))
    lost = plain.model_copy(update={"sets": [plain.sets[0], replace(plain.sets[1], metrics={"token_f1": worse})]})
    assert forgotten(lost) == ["It forgot some of what its base could do, on general questions: Token F1 20 % → 6 %."]
    unsure = replace(worse, change=Estimate(-0.14, -0.3, 0.1, 40))
    still = lost.model_copy(update={"sets": [lost.sets[0], replace(lost.sets[1], metrics={"token_f1": unsure})]})
    assert forgotten(still) == []
    run = replace(source, about=replace(source.about, report=lost))
    artifact = deploy.write(run, made.make(tmp_path / "exports"))
    for text in (card(run, artifact), (artifact.path / "deploy" / "README.md").read_text()):
        assert "- It forgot some of what its base could do" in text


def test_the_better_choice_is_named_with_its_size(source: Any, tmp_path: Path) -> None:  # noqa: F811
    run = replace(source, base=replace(source.base, config=SMOL), exports=tmp_path, about=replace(source.about, report=None))
    run.__dict__["adapter_files"] = {}
    assert "Try q5_k_m: about 1" in advice(GgufTarget(quant="q4_k_m"), run)
    assert advice(Merged4BitTarget(), run) == "Export `merged`, which is not quantized."


def test_an_export_made_from_the_merged_one_takes_nothing_that_speaks_of_it(source: Any, tmp_path: Path) -> None:  # noqa: F811
    merged = deploy.write(source, made.make(tmp_path / "exports", "merged"))
    record = push.PushRecord(
        repository="me/private", url="https://hub/me/private", commit="c" * 40, private=True, status="verified", files=1,
        bytes=1, removed=[], pushed_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    push.PushHistory(pushes=[record]).write(merged.path / push.RECORD)
    out = tmp_path / "exports" / "tensorrt-llm"
    out.mkdir()
    copy_merged(merged.path, out)
    weights = ["config.json", "chat_template.jinja", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert sorted(file.name for file in out.iterdir()) == sorted(weights)
    assert push.pushes(out) == []
    assert push.pushes(merged.path) == [record]


def test_the_probe_is_a_spread_of_the_held_out_rows() -> None:
    rows = [talk(f"{index}?", "Yes.") for index in range(100)]
    chosen = [rows.index(row) for row in spread(rows)]
    assert chosen[0] == 0
    assert chosen[-1] == 99
    assert len(chosen) == 12
    assert max(b - a for a, b in itertools.pairwise(chosen)) == 9
    assert spread(rows[:5]) == rows[:5]


def test_a_k_quant_of_a_narrow_model_is_known_to_take_more_bits() -> None:
    narrow, wide = model_dims(SMOL), made.LARGE
    assert bits_per_weight(narrow, "q4_k_m") == pytest.approx(6.17, abs=0.01), "as measured in the file"
    assert "6.2 bits a weight in this model, not 4.9" in fallback_note(narrow, "q4_k_m")
    assert fallback_note(wide, "q4_k_m") == fallback_note(narrow, "q8_0") == ""


@pytest.mark.parametrize(
    ("kind", "config", "says"),
    [
        ("gguf", {"model_type": "mixtral"}, "no GGUF layout"),
        ("gguf_adapter", {"model_type": "gpt_neox"}, "no GGUF layout"),
        ("gguf", {"model_type": "llama", "rope_scaling": {"type": "dynamic", "factor": 2.0}}, "RoPE scaling `dynamic`"),
        ("onnx", {"model_type": "olmo2"}, "not known to be built exactly"),
        ("executorch", {"model_type": "smollm3"}, "not among those"),
        ("coreml", {"model_type": "phi"}, "not among those"),
        ("merged_4bit", {"model_type": "mixtral", "num_local_experts": 8}, "mixture-of-experts"),
        ("tensorrt_llm", {"architectures": ["GPTNeoXForCausalLM"]}, "has no GPTNeoXForCausalLM"),
    ],
)
def test_an_impossible_export_is_refused_from_the_config_alone(kind: str, config: dict[str, Any], says: str) -> None:
    from pydantic import TypeAdapter

    target: Any = TypeAdapter(AnyTarget).validate_python({"kind": kind})
    with pytest.raises(ExportError, match=says):
        target.refuse(config)


def test_a_manifest_of_a_newer_release_is_refused_by_name(tmp_path: Path) -> None:
    from studio.core.records import RecordError

    artifact = made.make(tmp_path / "exports")
    file = artifact.path / manifest.MANIFEST
    file.write_text(json.dumps({**artifact.as_json(), "version": 99}))
    with pytest.raises(RecordError, match="export manifest was written by a newer release"):
        manifest.read(artifact.path)


def test_a_check_that_reads_part_of_the_model_from_ram_says_so(tmp_path: Path) -> None:
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(16 << 30)  # a sparse file: it takes no disk
    assert "the merged model (16.0 GiB) is larger than the free memory of RTX 3060" in beyond_gpu(tmp_path, probe("RTX 3060"))
    assert beyond_gpu(tmp_path, probe("RTX 4090")) == ""
