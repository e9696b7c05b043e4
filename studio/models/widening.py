"""16-bit models on a CPU that has no 16-bit products: computed in fp32, from the very same weights.

Such a CPU (AVX2, or AVX-512 without its bfloat16 part) emulates them: a product of bfloat16 matrices takes 10 to 20 times as
long as in fp32, one of fp16 matrices 150 times. `studio.hardware.machine.Machine.emulates` decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from studio.hardware import machine

if TYPE_CHECKING:
    from torch import nn

SHORT = {"torch.bfloat16": "bf16", "torch.float16": "fp16", "torch.float32": "fp32"}


def widened(model: Any, device: str) -> Any:
    """The model, its 16-bit weights made fp32 where the CPU it is on would emulate 16 bit; else as it is.

    No weight changes its value. Weights in 4 bit stay so and are dequantized to fp32.
    """
    import torch

    used = {SHORT.get(str(weights.dtype), "") for weights in model.parameters()} & {"bf16", "fp16"}
    used |= {SHORT.get(str(state.dtype), "") for state in _quantized(model)} & {"bf16", "fp16"}
    if device != "cpu" or not used or not any(machine.probe().emulates(dtype) for dtype in used):
        return model
    halves = (torch.bfloat16, torch.float16)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.dtype in halves:
                tensor.data = tensor.data.float()  # one at a time: the 16-bit one is freed at once
    for state in _quantized(model):
        state.dtype = torch.float32
    for module in model.modules():
        if getattr(module, "compute_dtype", None) in halves:
            module.compute_dtype = torch.float32
    model.config.dtype = torch.float32
    return model


def _quantized(model: nn.Module) -> list[Any]:
    """What bitsandbytes knows of each 4-bit weight, fused experts included."""
    layers = [getattr(weights, "quant_state", None) for weights in model.parameters()]
    experts = [getattr(module, "quant_state", None) for module in model.modules()]
    return [state for state in (*layers, *experts) if state is not None]
