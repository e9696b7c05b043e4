"""A model's shape from its config alone agrees with the model that torch builds from it."""

from __future__ import annotations

from typing import Any

import pytest

from studio.core.errors import ModelError
from studio.models import presets
from studio.models.shape import ARCHS, shape

pytestmark = pytest.mark.torch

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
CASES: list[tuple[str, dict[str, Any]]] = [
    *((arch, {}) for arch in ARCHS),
    *((arch, {"tie_word_embeddings": True}) for arch in ("llama", "qwen2", "phi3")),
    *((arch, {"tie_word_embeddings": False}) for arch in ("gemma2", "gemma3_text")),
    *((arch, {"head_dim": 32}) for arch in ("llama", "qwen3", "gemma3_text", "mistral", "qwen3_moe")),
    ("llama", {"attention_bias": True, "mlp_bias": True}),
    ("qwen3_moe", {"mlp_only_layers": [0], "num_experts": 4, "moe_intermediate_size": 48}),
    ("qwen3_moe", {"decoder_sparse_step": 2, "num_experts": 4, "moe_intermediate_size": 48}),
    ("mixtral", {"num_local_experts": 4}),
]


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
    found = shape(config.to_dict())
    head = model.get_output_embeddings()
    linear = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear) and layer is not head]
    assert found.parameters == sum(weight.numel() for weight in model.parameters())
    assert found.quantisable == sum(layer.weight.numel() for layer in linear)
    assert found.embedding == model.get_input_embeddings().weight.numel()
    assert found.head == (0 if found.tied else head.weight.numel())
    assert found.expert_parameters == sum(weight.numel() for weight in model.parameters() if weight.dim() == 3)
    assert found.parameters == (found.quantisable + found.embedding + found.head + found.norms + found.expert_parameters)


@pytest.mark.parametrize("targets", ["all-linear", "attention"])
@pytest.mark.parametrize("arch", [arch for arch in ARCHS if arch != "granite"])
def test_an_adapter_has_as_many_weights_as_counted(arch: str, targets: str):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig

    config = AutoConfig.for_model(arch, **{**SIZES, "num_local_experts": 4} if arch != "qwen3_moe" else SIZES)
    found = shape(config.to_dict())
    attention = ["q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj"]
    names = "all-linear" if targets == "all-linear" else [name for name in attention if name in found.linears]
    model = get_peft_model(build(config), LoraConfig(r=4, target_modules=names, task_type="CAUSAL_LM"))
    assert found.lora_parameters(4, targets) == sum(w.numel() for w in model.parameters() if w.requires_grad)


@pytest.mark.parametrize("arch", ARCHS)
def test_what_a_config_leaves_out_is_what_transformers_takes(arch: str):
    from transformers import AutoConfig

    whole = AutoConfig.for_model(arch)
    least = {"model_type": arch, **{name: getattr(whole, name) for name in ("hidden_size", "num_hidden_layers")}}
    least["intermediate_size"] = whole.intermediate_size
    least["num_attention_heads"] = whole.num_attention_heads
    assert shape(least) == shape(whole.to_dict())


@pytest.mark.parametrize("name", presets.names())
def test_the_presets_count_is_the_published_one(name: str):
    known = presets.preset(name)
    assert known is not None
    assert shape(known.config).parameters == known.parameters


def test_a_config_that_describes_no_decoder_is_refused():
    with pytest.raises(ModelError, match="does not describe a decoder"):
        shape({"model_type": "bert"})
