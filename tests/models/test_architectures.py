"""Each supported architecture, with tiny random weights: 4-bit load, one training step, adapter saved and reloaded, merge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio.hardware.dims import ModelDims
from studio.models import counting, loading
from studio.models.dims import from_counts
from studio.models.settings import Model
from tests.tiny import make_model

pytestmark = pytest.mark.numeric

ARCHS: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "gemma2": {"query_pre_attn_scalar": 16},
    "gemma3_text": {"query_pre_attn_scalar": 16},
    "phi3": {"tie_word_embeddings": False},
    "mistral": {"tie_word_embeddings": False},
    "granite": {},
    "mixtral": {"num_local_experts": 4, "tie_word_embeddings": False},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "tie_word_embeddings": False},
    "smollm3": {"no_rope_layers": [1, 0]},
    "olmo3": {"tie_word_embeddings": False, "sliding_window": 8},
    "ministral3": {"tie_word_embeddings": False},
    "lfm2": {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
    "granitemoehybrid": {
        "layer_types": ["attention", "attention"],
        "num_local_experts": 0,
        "num_experts_per_tok": 0,
        "shared_intermediate_size": 128,
    },
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "tie_word_embeddings": False, "sliding_window": 8},
    "gemma4_text": {
        "layer_types": ["sliding_attention", "full_attention"],
        "hidden_size_per_layer_input": 64,
        "vocab_size_per_layer_input": 500,
    },
    "gemma4_unified_text": {
        "layer_types": ["sliding_attention", "full_attention"],
        "attention_k_eq_v": True,
        "global_head_dim": 32,
    },
    "gemma3n_text": {
        "layer_types": ["sliding_attention", "full_attention"],
        "intermediate_size": [128, 128],
        "activation_sparsity_pattern": [0.0, 0.0],
        "num_kv_shared_layers": 0,
        "hidden_size_per_layer_input": 64,
        "vocab_size_per_layer_input": 500,
        "laurel_rank": 8,
    },
    "qwen3_5_text": {"layer_types": ["linear_attention", "full_attention"]},
}
WITH_EXPERTS = {
    "hidden_size_per_layer_input": 0,
    "layer_types": ["sliding_attention", "full_attention"],
    "enable_moe_block": True,
    "num_experts": 4,
    "top_k_experts": 2,
    "moe_intermediate_size": 64,
}
"""Gemma 4 26B-A4B is a mixture beside a plain feed-forward part."""
WITHOUT_SDPA = ("gemma2", "gpt_oss")


@pytest.fixture(autouse=True)
def counted_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Architectures that are not listed are counted in this process: torch is here already."""

    def built(config: str) -> ModelDims:
        return from_counts(counting.count(json.loads(config)))

    monkeypatch.setattr("studio.models.dims._built", built)


def scaled(folder: Path) -> Path:
    """A random Gemma 3n with scales as a trained one has them.

    They begin at zero, and then what a layer's own embeddings add is zero, and so is every gradient on that way.
    """
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    for name, value in weights.items():
        if name.endswith("correct_output_scale"):
            assert not value.any()
            weights[name] = torch.ones_like(value)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("arch", "changes"), [*ARCHS.items(), ("gemma4_text", WITH_EXPERTS)], ids=[*ARCHS, "gemma4_text-experts"]
)
def test_an_architecture_loads_in_4_bit_trains_reloads_and_merges(arch: str, changes: dict[str, Any], tmp_path: Path):
    import torch
    from peft import LoraConfig, get_peft_model

    folder = make_model(tmp_path / arch, arch, **changes)
    folder = scaled(folder) if arch == "gemma3n_text" else folder
    settings = Model(name=str(folder), quantization="nf4", dtype="fp32", attention="sdpa")
    base = loading.load_base(settings, "cpu")
    assert base.config._attn_implementation == ("eager" if arch in WITHOUT_SDPA else "sdpa")
    dims = loading.model_dims(loading.find(settings).config)
    assert _held_in_4_bit(base) == dims.quantizable + dims.expert_parameters

    torch.manual_seed(0)
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    ids = torch.randint(4, 400, (2, 12))
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    for _ in range(2):  # the first step moves only lora_B, whose partner has no gradient while it is zero
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
    grads = {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
    assert torch.isfinite(loss)  # pyright: ignore[reportPossiblyUnboundVariable]
    assert all(grad is not None and grad.abs().sum() > 0 for grad in grads.values()), "an adapter weight has no gradient"

    with torch.inference_mode():
        trained = model.eval()(ids).logits
        with model.disable_adapter():
            assert not torch.equal(trained, model(ids).logits), "the adapter has no effect"
    model.save_pretrained(tmp_path / "adapter")  # pyright: ignore[reportArgumentType]
    again = loading.attach_adapter(loading.load_base(settings, "cpu"), tmp_path / "adapter")
    with torch.inference_mode():
        assert torch.equal(again(ids).logits, trained), "a reloaded adapter answers differently"

    plain = loading.dequantize(loading.load_base(settings, "cpu"))
    assert not _held_in_4_bit(plain)
    merged = loading.attach_adapter(plain, tmp_path / "adapter").merge_and_unload(safe_merge=True)
    with torch.inference_mode():
        assert (merged(ids).logits - trained).abs().max() < 2e-4 * max(1, trained.abs().max())


SMALL_VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
WRAPPERS: dict[str, tuple[str, dict[str, Any]]] = {
    "mistral3": ("ministral3", {"vision_config": {"model_type": "pixtral", **SMALL_VISION, "head_dim": 16, "image_size": 28}}),
    "gemma4": (
        "gemma4_text",
        {"vision_config": {**SMALL_VISION, "num_key_value_heads": 2, "head_dim": 16}, "audio_config": None},
    ),
    "gemma4_unified": ("gemma4_unified_text", {}),
    "qwen3_5": (
        "qwen3_5_text",
        {"vision_config": {"depth": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64}},
    ),
}
"""Models that see, by `model_type`: their text part, and a small encoder of images."""


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_of_a_model_that_sees_the_text_part_is_counted_loaded_trained_and_saved(wrapper: str, tmp_path: Path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoTokenizer

    arch, sees = WRAPPERS[wrapper]
    text = make_model(tmp_path / "text", arch, **{**ARCHS[arch], "tie_word_embeddings": True})
    config = AutoConfig.from_pretrained(text).to_dict()
    torch.manual_seed(1)
    whole = AutoModelForImageTextToText.from_config(
        AutoConfig.for_model(wrapper, text_config=config, tie_word_embeddings=True, **sees), dtype=torch.float32
    )
    folder = tmp_path / "whole"
    whole.save_pretrained(folder)
    AutoTokenizer.from_pretrained(text).save_pretrained(folder)

    settings = Model(name=str(folder), quantization="none", dtype="fp32", attention="sdpa")
    base = loading.load_base(settings, "cpu")
    assert base.config.model_type == arch
    assert loading.model_dims(loading.find(settings).config).parameters == sum(each.numel() for each in base.parameters())
    ids = torch.randint(4, 400, (2, 12))
    with torch.inference_mode():
        assert torch.allclose(base(ids).logits, whole.eval()(input_ids=ids).logits, atol=1e-5)
    model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"))
    model(input_ids=ids, labels=ids).loss.backward()
    assert all(weight.grad is not None for weight in model.parameters() if weight.requires_grad)
    model.save_pretrained(tmp_path / "adapter")  # pyright: ignore[reportArgumentType]
    merged = loading.attach_adapter(loading.load_base(settings, "cpu"), tmp_path / "adapter").merge_and_unload(safe_merge=True)
    with torch.inference_mode():
        assert torch.allclose(merged(ids).logits, model.eval()(ids).logits, atol=1e-4)


def _held_in_4_bit(model: Any) -> int:
    """Weights held in 4 bit, in linear layers and in fused experts."""
    linear = sum(weight.quant_state.shape.numel() for weight in model.parameters() if type(weight).__name__ == "Params4bit")
    return linear + _experts(model)


def _experts(model: Any) -> int:
    return sum(part.quant_state.shape.numel() for part in model.modules() if type(part).__name__ == "Bnb4bitParametrization")
