"""What of a layer's work may be done again to save memory: its activations, and the unpacking of its 4-bit weights."""

from __future__ import annotations

from studio.spec import RunSpec
from studio.training import optimizations

EVERY = (4, 3, 2, 1)
"""Every how many layers may be computed again where that is left open, the faster first."""


def choices(spec: RunSpec, layers: int) -> tuple[int, ...]:
    """Every how many layers may be computed again, 0 for none: the faster before the more sparing."""
    training = spec.training
    if training.gradient_checkpointing is False:
        return (0,)
    every = (training.recompute_every,) if training.recompute_every else EVERY
    every = tuple(number for number in every if number < layers) or (1,)
    return every if training.gradient_checkpointing else (0, *every)


def unpacking(spec: RunSpec, quantization: str, every: int) -> tuple[bool, ...]:
    """Whether 4-bit weights may be kept unpacked from the recomputation of a layer to its backward pass."""
    given = spec.training.reuse_dequantized
    if quantization != "nf4" or not every or not fused(spec, quantization):
        return (False,)
    return (True, False) if given is None else (given,)


def offloading(spec: RunSpec, every: int, needed: bool) -> bool:
    """Whether the inputs of layers wait in RAM, on a GPU. needed: the run does not fit otherwise."""
    given = spec.training.activation_offloading
    return every > 0 and (needed if given is None else given)


def fused(spec: RunSpec, quantization: str) -> bool:
    """Whether adapted layers are computed together."""
    return spec.training.fused_adapters is not False and optimizations.fused(spec.adapter, quantization).on
