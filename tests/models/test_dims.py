"""A model's dimensions from its config alone agrees with the model that torch builds from it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import ModelError
from studio.models import counting, presets
from studio.models.architectures import ARCHITECTURES
from studio.models.dims import from_counts, model_dims

pytestmark = pytest.mark.torch

PACKAGE = Path(counting.__file__).parents[1]
SIZES: dict[str, Any] = {
    "vocab_size": 500,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}
BY_SIZES = [name for name, facts in ARCHITECTURES.items() if not facts.built]
"""Counted from their sizes; the others on a model without memory, like those that have no file (`IN_TURN`)."""
CASES: list[tuple[str, dict[str, Any]]] = [
    *((arch, {}) for arch in BY_SIZES),
    *((arch, {"tie_word_embeddings": True}) for arch in ("llama", "qwen2", "phi3")),
    *((arch, {"tie_word_embeddings": False}) for arch in ("gemma2", "gemma3_text")),
    *((arch, {"head_dim": 32}) for arch in ("llama", "qwen3", "gemma3_text", "mistral", "qwen3_moe")),
    ("llama", {"attention_bias": True, "mlp_bias": True}),
    ("qwen3_moe", {"mlp_only_layers": [0], "num_experts": 4, "moe_intermediate_size": 48}),
    ("qwen3_moe", {"decoder_sparse_step": 2, "num_experts": 4, "moe_intermediate_size": 48}),
    ("mixtral", {"num_local_experts": 4}),
]
SOME_DENSE: dict[str, dict[str, Any]] = {"qwen3_moe": {"mlp_only_layers": [0], "num_experts": 4}}
"""Mixtures of which some layers are none."""


def build(config: Any) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


@pytest.mark.parametrize(("arch", "changes"), CASES, ids=[f"{arch}-{'-'.join(changes)}" for arch, changes in CASES])
def test_every_count_is_exact(arch: str, changes: dict[str, Any]):
    import torch
    from transformers import AutoConfig

    config = AutoConfig.for_model(arch, **{**SIZES, **changes})
    model = build(config)
    found = model_dims(config.to_dict())
    head = model.get_output_embeddings()
    linear = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear) and layer is not head]
    assert found.parameters == sum(weight.numel() for weight in model.parameters())
    assert found.quantizable == sum(layer.weight.numel() for layer in linear)
    assert found.embedding == model.get_input_embeddings().weight.numel()
    assert found.head == (0 if found.tied else head.weight.numel())
    assert found.expert_parameters == sum(weight.numel() for weight in model.parameters() if weight.dim() == 3)
    assert found.parameters == (found.quantizable + found.embedding + found.head + found.norms + found.expert_parameters)


@pytest.mark.parametrize("targets", ["all-linear", "attention"])
@pytest.mark.parametrize("arch", [arch for arch in BY_SIZES if arch != "granite"])
def test_an_adapter_has_as_many_weights_as_counted(arch: str, targets: str):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig

    config = AutoConfig.for_model(arch, **{**SIZES, **SOME_DENSE.get(arch, {"num_local_experts": 4})})
    found = model_dims(config.to_dict())
    attention = ["q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj"]
    names = "all-linear" if targets == "all-linear" else [name for name in attention if name in found.linears]
    model = get_peft_model(build(config), LoraConfig(r=4, target_modules=names, task_type="CAUSAL_LM"))
    assert found.lora_parameters(4, targets) == sum(w.numel() for w in model.parameters() if w.requires_grad)


@pytest.mark.parametrize("arch", BY_SIZES)
def test_what_a_config_leaves_out_is_what_transformers_takes(arch: str):
    from transformers import AutoConfig

    whole = AutoConfig.for_model(arch)
    least = {"model_type": arch, **{name: getattr(whole, name) for name in ("hidden_size", "num_hidden_layers")}}
    least["intermediate_size"] = whole.intermediate_size
    least["num_attention_heads"] = whole.num_attention_heads
    assert model_dims(least) == model_dims(whole.to_dict())


@pytest.mark.parametrize("name", presets.names())
def test_the_presets_count_is_the_published_one(name: str):
    known = presets.preset(name)
    assert known is not None
    assert model_dims(known.config).parameters == known.parameters
    if known.counts:
        assert json.loads(json.dumps(counting.count(known.config))) == known.counts


@pytest.mark.parametrize(
    ("kind", "size"),
    [("llama", {"num_hidden_layers": 10**9}), ("apertus", {"num_hidden_layers": 10**9}), ("llama", {"head_dim": 0})],
)
def test_a_size_that_no_model_has_is_refused_before_anything_is_counted_by_it(kind: str, size: dict[str, int]) -> None:
    with pytest.raises(ModelError, match=next(iter(size))):
        model_dims({"model_type": kind, **SIZES, **size})


def test_a_config_that_describes_no_decoder_is_refused():
    with pytest.raises(ModelError, match="does not describe a decoder"):
        model_dims({"model_type": "bert"})


UNLISTED_CASES: dict[str, dict[str, Any]] = {
    "apertus": {},
    "gpt2": {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 128},
    "falcon": {"num_kv_heads": 4},
    "phi": {},
    "stablelm": {},
    "olmo2": {},
    "falcon_mamba": {"state_size": 8},
}


@pytest.mark.parametrize("arch", UNLISTED_CASES)
def test_an_architecture_without_a_file_is_counted_on_a_model_built_without_memory(arch: str):
    from transformers import AutoConfig

    config = AutoConfig.for_model(arch, **{**SIZES, **UNLISTED_CASES[arch]})
    counted = from_counts(counting.count(config.to_dict()))
    model = build(config)
    assert counted.parameters == sum(weight.numel() for weight in model.parameters())
    assert counted.layers == 3
    assert counted.hidden == 64
    assert counted.layers * sum(inputs * outputs for inputs, outputs in counted.linears.values()) == counted.quantizable


def test_layers_that_share_their_weights_count_them_once():
    from transformers import AutoConfig

    config = AutoConfig.for_model("zamba", num_hidden_layers=26, hidden_size=64, intermediate_size=96, vocab_size=500)
    counted = from_counts(counting.count(config.to_dict()))
    assert counted.quantizable < counted.parameters == sum(weight.numel() for weight in build(config).parameters())
    assert counted.norms > 0


IN_TURN: dict[str, dict[str, Any]] = {
    "lfm2": {"layer_types": ["conv", "full_attention", "conv"], "block_auto_adjust_ff_dim": False},
    "lfm2_moe": {
        "layer_types": ["conv", "full_attention", "conv"],
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 48,
        "num_dense_layers": 1,
    },
    "granitemoehybrid": {
        "layer_types": ["mamba", "attention", "mamba"],
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "shared_intermediate_size": 128,
        "mamba_n_heads": 4,
        "mamba_d_head": 32,
    },
    "qwen3_5_text": {"layer_types": ["linear_attention", "full_attention", "linear_attention"]},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "glm4_moe": {
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 48,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
    },
    "ernie4_5_moe": {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 48},
    "gemma3n_text": {
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 2,
        "intermediate_size": [96] * 4,
        "activation_sparsity_pattern": [0.0] * 4,
        "hidden_size_per_layer_input": 16,
        "vocab_size_per_layer_input": 500,
    },
    "gemma4_text": {
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 2,
        "hidden_size_per_layer_input": 16,
        "vocab_size_per_layer_input": 500,
    },
}
"""Architectures without a file: layers that differ, experts that peft leaves alone, layers beside the decoder's."""


@pytest.mark.parametrize("arch", IN_TURN)
def test_an_adapter_is_counted_exactly_where_layers_differ_and_experts_are_left_alone(arch: str):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig

    config = AutoConfig.for_model(arch, **{**SIZES, **IN_TURN[arch]})
    found = from_counts(json.loads(json.dumps(counting.count(config.to_dict()))))
    assert found.parameters == sum(weight.numel() for weight in build(config).parameters())
    for targets in ("all-linear", ["q_proj", "v_proj"]):
        model = get_peft_model(build(config), LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM"))
        assert found.lora_parameters(4, targets) == sum(w.numel() for w in model.parameters() if w.requires_grad)
    assert {"q_proj", "v_proj"} <= set(found.names())
    assert found.adapted(["q_proj"]).keys() == {"q_proj"}, "what some layers alone have is adapted, too"


def test_apertus_is_no_longer_counted_as_a_gated_llama():
    """Apertus 8B, whose feed-forward part has no gate: 8.05 B parameters."""
    sizes = {"hidden_size": 4096, "intermediate_size": 21504, "num_hidden_layers": 32, "num_attention_heads": 32}
    apertus = model_dims({"model_type": "apertus", "num_key_value_heads": 8, "vocab_size": 131072, **sizes})
    assert apertus.counted == "built"
    assert apertus.parameters / 1e9 == pytest.approx(8.05, abs=0.01)
    assert not apertus.gated
    assert apertus.query_key_norms


def test_what_transformers_cannot_build_is_counted_as_a_llama_and_says_so():
    odd = {"model_type": "nobody-knows", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    assert model_dims({**odd, "intermediate_size": 96}).counted == "like llama"
    with pytest.raises(ModelError, match="does not describe a decoder: it has no num_hidden_layers"):
        model_dims({"model_type": "nobody-knows", "hidden_size": 64})


def test_an_architecture_is_added_by_its_file_and_its_name(tmp_path: Path):
    """In a copy of the package: one file, one name in the list, and its counts are exact."""
    copy = tmp_path / "studio"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "weights", "*.safetensors", "static"))
    folder = copy / "models" / "architectures"
    (folder / "apertus.py").write_text(
        "from studio.models.architectures.base import Architecture\n"
        "ARCHITECTURE = Architecture(name='apertus', family='apertus', query_key_norms='head', notes=('New.',))\n"
    )
    listed = (folder / "__init__.py").read_text()
    (folder / "__init__.py").write_text(listed.replace('NAMES = (\n    "gemma"', 'NAMES = (\n    "apertus", "gemma"'))
    code = (
        "from studio.models.dims import model_dims; from studio.models.architectures import architecture_of;"
        "config = {'model_type': 'apertus', 'hidden_size': 64, 'num_hidden_layers': 3, 'num_attention_heads': 4,"
        " 'intermediate_size': 96, 'vocab_size': 500}; dims = model_dims(config);"
        "print(dims.counted, dims.query_key_norms, *architecture_of(config).notes)"
    )
    child = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert child.stdout.split() == ["exact", "True", "New."], child.stderr
