"""Memory estimates and kernels held to a traced step at full widths: Llama 3.1 8B, Qwen2.5 3B and 0.5B, every layer in nf4."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from studio.hardware import memory
from studio.hardware.memory_config import MemoryConfig
from studio.models import presets
from studio.models.dims import model_dims

pytestmark = pytest.mark.numeric

MODELS = ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-3B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct")
STEP = ("base weights", "adapter", "gradients", "activations", "layer at work", "logits and loss")
"""The parts of an estimate that a traced step shows."""


@dataclass(frozen=True)
class Whole:
    """A step of the whole model, from traces of two and of four layers: layers are alike."""

    peak: float
    forward: float
    """Kernels a layer."""
    backward: float
    head: int


@cache
def traced(name: str, tokens: int, rows: int, checkpointing: bool) -> Whole:
    from transformers import AutoConfig

    from tests.gpu.trace import trace

    config: dict[str, Any] = dict(presets.config(name) or {})
    few, more = (
        trace(AutoConfig.for_model(**{**config, "num_hidden_layers": layers}), tokens, rows, checkpointing) for layers in (2, 4)
    )
    return Whole(
        peak=few.peak + (more.peak - few.peak) / 2 * (config["num_hidden_layers"] - 2),
        forward=(more.kernels["forward"] - few.kernels["forward"]) / 2,
        backward=(more.kernels["backward"] - few.kernels["backward"]) / 2,
        head=more.kernels["head"],
    )


@pytest.mark.parametrize("checkpointing", [True, False])
@pytest.mark.parametrize(("tokens", "rows"), [(4096, 2)])
@pytest.mark.parametrize("name", MODELS)
def test_the_estimate_is_within_3_percent_of_the_traced_step(name: str, tokens: int, rows: int, checkpointing: bool) -> None:
    config = MemoryConfig(
        rows=1,
        length=tokens,
        row=tokens // rows,
        varlen=True,
        checkpointing=checkpointing,
        fused=True,
        reuse_dequantized=checkpointing,
        answer_rows=1,
    )
    estimate = memory.estimate(model_dims(presets.config(name) or {}), config)
    expected = sum(estimate.of(part) for part in STEP)
    assert expected == pytest.approx(traced(name, tokens, rows, checkpointing).peak, rel=0.03)


@pytest.mark.parametrize("name", MODELS)
def test_a_layer_keeps_to_its_budget_of_kernels(name: str) -> None:
    again, kept = (traced(name, 4096, 2, checkpointing) for checkpointing in (True, False))
    assert again.forward == kept.forward <= 86
    assert again.backward <= 235  # of these 7 add to the gradients of an earlier micro-batch
    assert kept.backward <= 171
    assert again.head <= 150
