"""How fast a run can be: a roofline of the GPU, and what trainers reach of it. Estimates, and always given as a range.

A frozen base needs no gradient of its weights: a token costs 2 FLOP a weight forward and 2 backward, and 2 more if
checkpointing computes the layer again; full fine-tuning costs 2 more for the weights' own gradients. Weights kept in nf4 are
unpacked to 16 bit on every pass of every micro-batch, which costs bandwidth, not FLOP, and is shared by all its tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.hardware.dims import ModelDims
from studio.hardware.memory import trained_parameters
from studio.hardware.memory_config import MemoryConfig

GEMM = 0.85
"""Share of peak that large matrix products reach (788 of 989 TFLOP/s measured on an H200; 0.8 to 0.9 on GeForce)."""
FP32_SHARE = 1 / 8
"""Share of the 16-bit tensor rate that 32-bit products reach: torch computes them without tensor cores unless told otherwise
(T4: 8 of 65 TFLOP/s, RTX 2080: 10 of 40; Ampere and later are between a half and an eighth)."""
TILE = 128
"""Tokens a large matrix product works on at a time; fewer cost as much."""
LAUNCH = 0.8e-3
"""Seconds to launch one layer's kernels for one pass: 107 (computed again) to 128 kernels, counted in a traced step, at 7
microseconds each, which is an estimate."""
STEP = 5e-3
"""Seconds of Python, head and optimizer that a micro-batch takes besides, however small; an estimate."""
USUAL = (0.35, 1.0)
"""What a training step reaches of the roofline. Published: packed, compiled trainers 0.8 to 1.0 on a 4090 and 0.5 to 0.6 on an
A100, plain ones on short rows 0.2 to 0.4 (docs/memory.md)."""
CPU_FLOPS = (25e9, 120e9)
"""FLOP/s of a training step on one core, fp32 on an old core to bf16 on one with AVX512-BF16 (57 measured at 22 M, fp32)."""
EMULATED = 12.0
"""How much longer a CPU without bfloat16 products takes in bf16 than in fp32: 11 with AVX-512, 20 with AVX2 (256 x 256)."""
CPU_OVERHEAD = 3500.0
"""Tokens/s that a training step does not exceed on one core however small the model: Python's share, measured at 1 M."""


@dataclass(frozen=True)
class Rate:
    """Tokens per second, from `low` to `high`."""

    low: float
    high: float
    basis: str
    """Where the range comes from, in a sentence."""


def flops_per_token(dims: ModelDims, config: MemoryConfig, scored: float = 1.0) -> float:
    """FLOP to train one token: layers, head on the scored share of tokens (two products), adapters, causal attention."""
    again = config.recomputed(dims.layers) / dims.layers
    passes = 2 + again
    head = 2 * 2 * dims.vocab * dims.hidden * scored
    trained = trained_parameters(dims, config)
    adapters = 2 * trained if config.full else (2 * passes + 2) * trained
    attention = dims.layers * dims.query_width * (config.row or config.length) * (3.5 + again) * 2 / 2
    return 2 * passes * dims.active_parameters + head + adapters + attention


def seconds_per_token(dims: ModelDims, config: MemoryConfig, flops: float, bandwidth: float, scored: float = 1.0) -> float:
    """Seconds a token takes at the roofline: products at `GEMM` of peak, and unpacking the quantised weights.

    Products come in tiles of `TILE` tokens, and never take less than reading each 16-bit weight once a pass. A quantised
    weight is unpacked on each pass: nf4 reads 0.52 and writes 2 bytes, int8 1 and 2; if the one of the recomputation is kept
    for the backward pass, twice a step and not three times; experts always keep theirs. And a micro-batch never takes less
    than its kernels take to launch, `STEP` and `LAUNCH` a layer and pass: what bounds small models on large GPUs.
    """
    again = config.recomputed(dims.layers) / dims.layers
    passes = 2 + again
    computed = -(-config.tokens // TILE) * TILE
    reached = flops * GEMM * (FP32_SHARE if config.dtype == "fp32" else 1)
    products = flops_per_token(dims, config, scored) * computed / reached
    bus = bandwidth * GEMM
    weights = (dims.quantizable + dims.expert_parameters) * passes / bus if bandwidth else 0.0
    unpacked = 0.0
    if bandwidth:
        linear = {"none": 0.0, "nf4": 2.52, "int8": 3.0}[config.quantization] * dims.quantizable
        unpacked = linear * (2 + config.unpacked_again * again) / bus
        unpacked += 2.52 * dims.expert_parameters * (1 + again) / bus if config.quantization == "nf4" else 0.0
    return max(max(products, 2 * weights) + unpacked, STEP + LAUNCH * passes * dims.layers) / config.tokens


def gpu_rate(dims: ModelDims, config: MemoryConfig, flops: float, bandwidth: float, scored: float = 1.0) -> Rate | None:
    """Tokens per second on a GPU; None if its rate is not known."""
    if not flops:
        return None
    roof = 1 / seconds_per_token(dims, config, flops, bandwidth, scored)
    low, high = (roof * share for share in USUAL)
    return Rate(low, high, f"the GPU can do {roof:,.0f} tokens/s at most; trainers reach {USUAL[0]:.0%} of it and more")


def cpu_rate(dims: ModelDims, config: MemoryConfig, threads: int, bf16: bool, scored: float = 1.0) -> Rate:
    """A rough range of tokens per second on a CPU; the first steps of a run replace it by a measured one."""
    work = flops_per_token(dims, config, scored)
    low, high = CPU_FLOPS
    if config.dtype == "bf16" and not bf16:
        low, high = low / EMULATED, high / EMULATED
    high = high if bf16 and config.dtype == "bf16" else high / 1.8
    slow, fast = (1 / (work / (rate * threads) + 1 / CPU_OVERHEAD) for rate in (low, high))
    return Rate(0.5 * slow, 1.2 * fast, "rough, by the model's size: measured as soon as the first steps are done")
