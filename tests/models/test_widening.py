"""On a CPU that emulates 16 bit a model computes in fp32, from the very weights it was stored or trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.hardware import processor
from studio.models import loading
from studio.models.settings import Model
from tests.tiny import make_model

pytestmark = pytest.mark.torch


@pytest.fixture(params=["avx2", "amx"])
def emulates(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A processor without and one with bfloat16 products."""
    flags = frozenset({"avx2"}) if request.param == "avx2" else frozenset({"avx2", "amx_bf16"})
    monkeypatch.setattr(processor, "name_and_instructions", lambda: ("a processor", flags))
    return request.param == "avx2"


def load(folder: Path, quantization: Any, *, as_stored: bool = False) -> Any:
    settings = Model(name=str(folder), quantization=quantization, dtype="bf16", attention="sdpa")
    return loading.load_base(settings, "cpu", as_stored=as_stored)


def formats(model: Any) -> set[str]:
    layers = [getattr(weights, "quant_state", None) for weights in model.parameters()]
    experts = [getattr(module, "quant_state", None) for module in model.modules()]
    states = {str(state.dtype) for state in (*layers, *experts) if state is not None}
    return states | {str(weights.dtype) for weights in model.parameters() if weights.is_floating_point()}


@pytest.mark.parametrize(("arch", "quantization"), [("llama", "none"), ("llama", "nf4"), ("qwen3_moe", "nf4")])
def test_what_a_run_of_a_gpu_computed_in_bf16_is_answered_in_fp32_where_bf16_is_emulated(
    arch: str, quantization: str, emulates: bool, tmp_path: Path
):
    import torch

    folder = make_model(tmp_path / "model", arch)
    model, stored = load(folder, quantization), load(folder, quantization, as_stored=True)
    assert formats(model) == ({"torch.float32"} if emulates else {"torch.bfloat16"})
    assert formats(stored) == {"torch.bfloat16"}
    ids = torch.arange(5, 21)[None]
    with torch.no_grad():
        logits = model(ids).logits
        assert logits.dtype == (torch.float32 if emulates else torch.bfloat16)
        assert torch.allclose(logits.float(), stored(ids).logits.float(), atol=0.05)
    plain = {name: value.float() for name, value in stored.named_parameters() if value.dtype == torch.bfloat16}
    assert plain
    for name, value in model.named_parameters():
        assert name not in plain or torch.equal(value.float(), plain[name]), name


def test_a_ceiling_on_instructions_is_a_processor_without_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(processor, "_cpu_info", lambda: "model name : A\nflags : fpu avx2 avx512f avx512_bf16 amx_bf16")
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert processor.name_and_instructions() == ("A", frozenset({"avx2", "avx512f", "avx512_bf16", "amx_bf16"}))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "avx2")
    assert processor.name_and_instructions() == ("A", frozenset({"avx2", "avx512f"}))
