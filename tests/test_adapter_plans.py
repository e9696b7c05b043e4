"""The plan of each kind of adapter: what it counts, what it decides, and what it refuses before anything is loaded."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from studio.core.errors import ModelError, SpecError
from studio.hardware.dims import matches
from studio.models import adapter_files, presets
from studio.models.dims import model_dims
from tests.test_planner import QWEN3B, plan

QWEN05B = "Qwen/Qwen2.5-0.5B-Instruct"


def counted(made: Any, part: str) -> int:
    return made.memory.of(part)


@pytest.mark.parametrize("kind", ["pissa", "olora"])
def test_a_kind_that_carries_where_it_began_is_counted_at_twice_the_rank_on_an_exact_base(kind: str):
    made, plain = plan(QWEN05B, adapter={"kind": kind}), plan(QWEN05B, adapter={"rank": 32}, model={"quantization": "none"})
    assert made.spec.model.quantization == "none"
    assert made.counts.trained_parameters == plain.counts.trained_parameters
    assert counted(made, "gradients") == counted(plain, "gradients")
    assert made.spec.training.fused_adapters


def test_full_fine_tuning_counts_every_matrix_its_gradient_its_moments_and_the_base_beside_it():
    made = plan(QWEN05B, "RTX 4090", adapter={"kind": "full"})
    dims = model_dims(presets.config(QWEN05B) or {})
    assert made.counts.trained_parameters == dims.quantizable
    assert counted(made, "base weights") == 2 * dims.parameters
    assert counted(made, "trained weights") == 6 * dims.quantizable  # in 32 bit, and the 16-bit copy of a step
    assert counted(made, "gradients") == 4 * dims.quantizable
    assert made.spec.training.optimizer == "adamw_8bit"
    assert made.spec.training.learning_rate == pytest.approx(0.2 * plan(QWEN05B).spec.training.learning_rate)
    assert not made.spec.training.fused_adapters
    assert dict(made.disk.items)["adapter"] == 4 * dims.quantizable


def test_full_fine_tuning_that_does_not_fit_says_so_and_lora_does():
    made = plan(QWEN3B, "RTX 4090", adapter={"kind": "full"})
    assert not made.fits
    assert plan(QWEN3B, "RTX 4090").fits
    assert plan(QWEN05B, "RTX 3060", adapter={"kind": "full"}).fits


@pytest.mark.parametrize("kind", ["full", "pissa", "olora"])
def test_a_quantized_base_is_refused_by_name(kind: str):
    with pytest.raises(SpecError, match=r"unquantized base, and model\.quantization is nf4") as found:
        plan(adapter={"kind": kind}, model={"quantization": "nf4"})
    assert found.value.where == "adapter.kind"


def test_ranks_by_layer_are_counted_layer_by_layer():
    dims = model_dims(presets.config(QWEN3B) or {})
    adapter = {"rank": 8, "targets": ["layers.[0-9].self_attn.q_proj", "down_proj"], "ranks": {"layers.35.*": 64}}
    queries, down = (sum(dims.linears[name]) for name in ("q_proj", "down_proj"))
    made = plan(QWEN3B, adapter=adapter)
    assert made.counts.trained_parameters == 10 * 8 * queries + (35 * 8 + 64) * down


@pytest.mark.parametrize(
    ("adapter", "where", "words"),
    [
        ({"targets": ["layers.99.*"]}, "adapter.targets", "layers.99"),
        ({"targets": ["(q_proj"]}, "adapter.targets", "no regular expression"),
        ({"ranks": {"q_prj": 4}}, "adapter.ranks", "q_prj"),
        ({"modules_to_save": ["embed_tokens"]}, "adapter.modules_to_save", "one matrix"),
        ({"modules_to_save": ["q_proj"]}, "adapter.modules_to_save", "linear layer"),
    ],
)
def test_what_means_no_layer_is_refused_before_the_model_is_loaded(adapter: dict[str, Any], where: str, words: str):
    with pytest.raises(SpecError, match=words.replace("(", r"\(")) as found:
        plan(QWEN3B, adapter=adapter)
    assert str(found.value.where).endswith(where)


@pytest.mark.parametrize("adapter", [{"kind": "dora"}, {"kind": "full"}, {"modules_to_save": ["norm"]}])
def test_an_export_that_cannot_carry_the_adapter_is_refused_before_training(adapter: dict[str, Any]):
    with pytest.raises(SpecError, match="gguf_adapter is not possible") as found:
        plan(QWEN05B, adapter=adapter, export=[{"kind": "gguf_adapter"}])
    assert found.value.where == "export.0"


def test_what_does_not_go_together_is_a_conflict_of_fields():
    with pytest.raises(SpecError, match="trains the layers themselves") as found:
        plan(QWEN05B, adapter={"kind": "full", "lora_plus": 16})
    assert "adapter.lora_plus" in str(found.value.where)
    with pytest.raises(SpecError, match="weight decay would shrink"):
        plan(QWEN05B, adapter={"kind": "pissa"}, training={"weight_decay": 0.01})


def test_the_scale_of_rslora_is_lora_s_at_rank_16():
    assert plan(adapter={"kind": "rslora"}).spec.adapter.alpha / 16**0.5 == plan().spec.adapter.alpha / 16


@pytest.mark.parametrize("kind", ["lora", "dora", "eva"])
def test_a_high_rank_takes_a_lower_rate_so_that_its_update_is_no_larger(kind: str):
    usual = plan(QWEN05B, adapter={"kind": kind}).spec.training.learning_rate
    made = plan(QWEN05B, adapter={"kind": kind, "rank": 64})
    assert made.spec.training.learning_rate == pytest.approx(usual / 2)
    assert "the update of rank 64" in next(each.reason for each in made.decisions if each.field == "training.learning_rate")
    assert plan(QWEN05B, adapter={"kind": kind, "rank": 8}).spec.training.learning_rate == pytest.approx(usual)
    weak = plan(QWEN05B, adapter={"kind": kind, "rank": 64, "alpha": 16})  # scaled down already
    assert weak.spec.training.learning_rate == pytest.approx(usual)
    assert plan(QWEN05B, adapter={"kind": "rslora", "rank": 64}).spec.training.learning_rate == pytest.approx(usual)


def test_with_lora_plus_both_rates_lie_around_the_usual_one():
    usual, found = plan(QWEN05B).spec.training.learning_rate, plan(QWEN05B, adapter={"lora_plus": 16}).spec
    assert found.training.learning_rate == pytest.approx(usual / 4)
    assert found.training.learning_rate * found.adapter.lora_plus == pytest.approx(usual * 4)


def test_a_trained_head_costs_all_its_logits():
    untied = "Qwen/Qwen2.5-7B-Instruct"
    made = plan(untied, adapter={"modules_to_save": ["lm_head"]})
    assert counted(made, "adapter") > 4 * model_dims(presets.config(untied) or {}).head
    assert counted(made, "logits and loss") > 0


def test_an_expression_means_the_path_or_its_end():
    assert matches("q_proj", "model.layers.0.self_attn.q_proj")
    assert matches(r"layers\.[0-3]\..*", "model.layers.3.mlp.up_proj")
    assert not matches("proj", "model.layers.0.self_attn.q_proj")
    assert not matches("layers.1.mlp.up_proj", "model.layers.11.mlp.up_proj")


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        ("model.layers.0.conv.in_proj", [8, 64], ""),
        ("model.layers.1.self_attn.q_proj", [8, 64], ""),
        ("model.layers.0.conv.in_proj", [8, 32], "is for 32 values, and a/b has 64"),
        ("model.layers.0.self_attn.q_proj", [8, 64], "layers.0.self_attn.q_proj of this adapter is not in a/b: it was"),
        ("model.layers.2.conv.in_proj", [8, 64], "is not in a/b, which has 2 layers"),
    ],
)
def test_an_adapter_is_compared_layer_by_layer_with_a_base_whose_architecture_is_not_listed(
    layer: str, shape: list[int], words: str, tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    kinds = ({"in_proj": (64, 192)}, {"q_proj": (64, 64)})
    dims = replace(model_dims(presets.config(QWEN05B) or {}), layers=2, linears=kinds[0], by_layer=kinds, counted="built")
    tensors = cast(Any, {f"base_model.model.{layer}.lora_A.weight": {"shape": shape}})
    with pytest.raises(ModelError, match=words) if words else contextlib.nullcontext():
        adapter_files.match_dims(tmp_path, tensors, dims, "a/b")


def test_layers_that_some_decoder_layers_alone_have_are_known_by_name_and_adapted() -> None:
    kinds = ({"in_proj": (64, 192), "w1": (64, 96)}, {"q_proj": (64, 64), "w1": (64, 96)})
    dims = replace(model_dims(presets.config(QWEN05B) or {}), layers=2, linears=kinds[0], by_layer=kinds, counted="built")
    assert dims.names() == ["in_proj", "w1", "q_proj"]
    assert dims.lora_parameters(2, ["q_proj"]) == 2 * 128
    assert dims.lora_parameters(2) == 2 * (256 + 160 + 128 + 160)
    assert dims.adapted(["q_proj"]) == {"q_proj": (64, 64)}
    assert not [path for path in dims.paths() if path.startswith("model.layers.0") and path.endswith("q_proj")]
