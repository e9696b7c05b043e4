"""The optimizations of a run: which are on, and why. Each is exact to rounding and can be switched off by its field of
`training`; those of a CPU are measured in bench/optimizations.py. What they gain is in docs/speed.md. Plain values, no torch.
"""

from __future__ import annotations

from typing import NamedTuple

from studio.training.settings import Adapter, Training

NAMES = (
    "fused_adapters",
    "fused_norms",
    "triton_kernels",
    "loss_on_labels_only",
    "varlen_attention",
    "shared_prompts",
    "reuse_dequantized",
    "activation_offloading",
    "async_checkpoints",
)
"""Fields of `training` that change how fast a run is, and what comes out no more than to rounding."""


class Optimization(NamedTuple):
    """A speed-up as decided: the field, whether it is on, why, and what the other choice would mean."""

    field: str
    on: bool
    reason: str
    otherwise: str = ""


def decide(
    adapter: Adapter, training: Training, quantization: str, device: str, checkpointing: bool, reuse: bool, offload: bool
) -> list[Optimization]:
    """All optimizations of a run; what the spec says is left as it is.

    reuse: unpacked weights fit besides. offload: without the inputs of layers in RAM it does not fit.
    """
    return [
        fused(adapter, quantization),
        _on_gpu("fused_norms", device, "one kernel a norm, which rounds once", "several kernels, and more is kept"),
        _on_gpu(
            "triton_kernels",
            device,
            "loss, gates and rotary embeddings in one kernel each, where Triton runs",
            "several kernels each",
        ),
        Optimization("loss_on_labels_only", True, "only trained tokens are scored", "a score for every token and word is kept"),
        Optimization("varlen_attention", True, "each row attends to itself alone", "one mask of all tokens by all tokens"),
        _shared(adapter, training),
        _unpacked(quantization, checkpointing, reuse),
        _offloaded(device, checkpointing, offload),
        Optimization("async_checkpoints", True, "training goes on while a checkpoint is written", "each one is waited for"),
    ]


def fused(adapter: Adapter, quantization: str) -> Optimization:
    """Whether adapters can be computed together, and why not."""
    if adapter.traits.alone:
        return Optimization("fused_adapters", False, adapter.traits.alone)
    if adapter.dropout:
        return Optimization("fused_adapters", False, "dropout gives each adapter an input of its own")
    if quantization == "int8":
        return Optimization("fused_adapters", False, "int8 layers have a product of their own")
    return Optimization(
        "fused_adapters", True, "adapters that share an input are computed together", "slower, and more is kept"
    )


def _on_gpu(field: str, device: str, reason: str, otherwise: str) -> Optimization:
    if device != "cuda":
        return Optimization(field, False, "on a CPU it is no faster")
    return Optimization(field, True, reason, otherwise)


def _shared(adapter: Adapter, training: Training) -> Optimization:
    if not training.method.several_answers:
        return Optimization("shared_prompts", False, f"{training.method.kind} has one answer to a prompt")
    if adapter.dropout or training.neftune:
        return Optimization("shared_prompts", False, "noise and dropout are drawn for each answer's own prompt")
    return Optimization("shared_prompts", True, "a prompt is computed once for all its answers", "once for each answer")


def _unpacked(quantization: str, checkpointing: bool, fits: bool) -> Optimization:
    if quantization != "nf4" or not checkpointing:
        return Optimization("reuse_dequantized", False, "no 4-bit weights that are unpacked to compute a layer again")
    if not fits:
        return Optimization(
            "reuse_dequantized", False, "a layer's weights in 16 bit do not fit besides, or layers are not fused"
        )
    return Optimization(
        "reuse_dequantized",
        True,
        "each weight is unpacked twice a step, not three times",
        "a layer's weights less memory",
    )


def _offloaded(device: str, checkpointing: bool, needed: bool) -> Optimization:
    if device != "cuda":
        return Optimization("activation_offloading", False, "without a GPU there is no other memory than RAM")
    if not checkpointing:
        return Optimization("activation_offloading", False, "no layer is computed again from its input")
    if not needed:
        return Optimization("activation_offloading", False, "the run fits with the inputs of layers on the GPU", "less memory")
    return Optimization(
        "activation_offloading", True, "the inputs of layers wait in RAM: else the run does not fit", "more than the GPU holds"
    )
