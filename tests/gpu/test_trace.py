"""Memory estimates and kernels held to a traced step at full widths: Llama 3.1 8B, Qwen2.5 3B and 0.5B, every layer in nf4."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from studio.hardware import peak
from studio.hardware.memory_config import MemoryConfig
from studio.models import presets
from studio.models.dims import model_dims

pytestmark = pytest.mark.numeric

MODELS = ("meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-3B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct")
JOINED = "microsoft/Phi-4-mini-instruct"
"""Queries, keys and values are one layer, gate and up another, and the rotary embedding turns a part of each head."""
STEP = ("base weights", "adapter", "gradients", "activations", "layer at work", "logits and loss")
"""The parts of an estimate that a traced step shows."""


@dataclass(frozen=True)
class Whole:
    """A step of the whole model, from traces of a few layers and of as many again: layers are alike."""

    peak: float
    forward: float
    """Kernels a layer."""
    backward: float
    head: int
    moved: float
    """Bytes read and written."""


@cache
def traced(name: str, tokens: int, rows: int, every: int, offload: bool = False, kernels: bool = False) -> Whole:
    from transformers import AutoConfig

    from tests.gpu.trace import trace

    config: dict[str, Any] = dict(presets.config(name) or {})
    period = 4 if offload else max(2, every)  # of inputs in RAM the first three count
    few, more = (
        trace(AutoConfig.for_model(**{**config, "num_hidden_layers": layers}), tokens, rows, every, offload, kernels)
        for layers in (period, 2 * period)
    )
    assert config["num_hidden_layers"] % period == 0
    return Whole(
        peak=few.peak + (more.peak - few.peak) / period * (config["num_hidden_layers"] - period),
        forward=(more.kernels["forward"] - few.kernels["forward"]) / period,
        backward=(more.kernels["backward"] - few.kernels["backward"]) / period,
        head=more.kernels["head"],
        moved=few.total + (more.total - few.total) / period * (config["num_hidden_layers"] - period),
    )


@pytest.mark.parametrize(("tokens", "rows"), [(4096, 2)])
@pytest.mark.parametrize(
    ("name", "every", "offload"),
    [
        *((name, every, False) for name in (*MODELS, JOINED) for every in (0, 1)),
        (MODELS[0], 2, False),
        (MODELS[1], 4, False),
        *((name, 1, True) for name in MODELS),
    ],
)
def test_the_estimate_is_within_3_percent_of_the_traced_step(
    name: str, tokens: int, rows: int, every: int, offload: bool
) -> None:
    config = MemoryConfig(
        rows=1,
        length=tokens,
        row=tokens // rows,
        varlen=True,
        checkpointing=every > 0,
        recompute_every=max(1, every),
        fused=True,
        reuse_dequantized=every > 0,
        offloaded=offload,
        answer_rows=1,
    )
    estimate = peak.estimate(model_dims(presets.config(name) or {}), config)
    expected = sum(estimate.of(part) for part in STEP)
    assert expected == pytest.approx(traced(name, tokens, rows, every, offload).peak, rel=0.03)


def test_8b_with_the_inputs_of_its_layers_in_ram_takes_less_than_7_gib() -> None:
    kept, offloaded = (traced(MODELS[0], 4096, 2, 1, offload).peak for offload in (False, True))
    assert offloaded < 7.0 * (1 << 30)
    assert kept - offloaded == pytest.approx(29 * 4096 * 4096 * 2, rel=0.05)


@pytest.mark.parametrize("name", MODELS)
def test_a_layer_keeps_to_its_budget_of_kernels(name: str) -> None:
    again, kept = (traced(name, 4096, 2, every) for every in (1, 0))
    assert again.forward == kept.forward <= 86
    assert again.backward <= 235  # of these 7 add to the gradients of an earlier micro-batch
    assert kept.backward <= 171
    assert again.head <= 150


@pytest.mark.parametrize(("name", "moved"), [(MODELS[0], 0.6), (MODELS[2], 0.55)])
def test_norms_gates_rotary_embeddings_and_the_loss_in_one_kernel_each_move_two_fifths_less(name: str, moved: float) -> None:
    apart, at_once = (traced(name, 4096, 2, 1, False, kernels) for kernels in (False, True))
    assert at_once.moved <= moved * apart.moved
    assert at_once.peak < apart.peak
    assert at_once.forward <= 63
    assert at_once.backward <= 167
    assert at_once.head <= 63
