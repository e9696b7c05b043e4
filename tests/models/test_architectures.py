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
    "qwen3_5_text": {"layer_types": ["linear_attention", "full_attention"]},
}
WITHOUT_SDPA = ("gemma2", "gpt_oss")


@pytest.fixture(autouse=True)
def counted_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Architectures that are not listed are counted in this process: torch is here already."""

    def built(config: str) -> ModelDims:
        return from_counts(counting.count(json.loads(config)))

    monkeypatch.setattr("studio.models.dims._built", built)


@pytest.mark.parametrize("arch", ARCHS)
def test_an_architecture_loads_in_4_bit_trains_reloads_and_merges(arch: str, tmp_path: Path):
    import torch
    from peft import LoraConfig, get_peft_model

    folder = make_model(tmp_path / arch, arch, **ARCHS[arch])
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


def _held_in_4_bit(model: Any) -> int:
    """Weights held in 4 bit, in linear layers and in fused experts."""
    linear = sum(weight.quant_state.shape.numel() for weight in model.parameters() if type(weight).__name__ == "Params4bit")
    return linear + _experts(model)


def _experts(model: Any) -> int:
    return sum(part.quant_state.shape.numel() for part in model.modules() if type(part).__name__ == "Bnb4bitParametrization")
