"""Fused experts are quantised one at a time while a model is loaded, to the very bits they had when it was done afterwards."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest

from studio.models import loading
from studio.models.settings import Model
from tests.tiny import make_model

pytestmark = pytest.mark.numeric

MIXTURES: dict[str, dict[str, Any]] = {
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64},  # experts one by one in the file
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2},  # experts fused in the file
}


def load(folder: Path, double: bool) -> Any:
    settings = Model(name=str(folder), quantization="nf4", double_quantization=double, dtype="bf16", attention="sdpa")
    return loading.load_base(settings, "cpu", as_stored=True)


def is_experts(name: str) -> bool:
    return ".experts." in name and "bias" not in name


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("arch", MIXTURES)
def test_experts_have_the_bits_that_quantising_the_loaded_model_gives(
    arch: str, double: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import torch
    from bitsandbytes.nn.parametrize import replace_parameter_4bit
    from transformers import AutoModelForCausalLM

    from studio.models import experts

    monkeypatch.setattr(experts, "PIECE", 3 * experts.BLOCK)  # some pieces, and a last one that is shorter
    folder = make_model(tmp_path / "model", arch, **MIXTURES[arch])
    found = load(folder, double).state_dict()
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    for name, module in plain.named_modules():
        if name.endswith("experts"):
            for weight in ("gate_up_proj", "down_proj"):
                replace_parameter_4bit(module, weight, compress_statistics=double, quant_type="nf4")
    wanted = {name: value for name, value in plain.state_dict().items() if is_experts(name)}
    assert wanted.keys() == {name for name in found if is_experts(name)}
    assert len(wanted) > 4
    for name, value in wanted.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("arch", MIXTURES)
def test_the_experts_of_one_layer_are_given_back_before_those_of_the_next_are_read(
    arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from studio.models import experts

    quantize, seen, alive = experts.quantize, [], []

    def watched(weights: Any, double: bool) -> Any:
        gc.collect()
        alive.append(sum(each() is not None for each in seen))
        seen.append(weakref.ref(weights))
        return quantize(weights, double)

    monkeypatch.setattr(experts, "quantize", watched)
    load(make_model(tmp_path / "model", arch, num_hidden_layers=4, **MIXTURES[arch]), True)
    assert alive == [0] * 8
