"""Fused experts in 4 bit while a model is loaded. This module subclasses transformers' classes: import it late.

The experts of a layer are one three-dimensional parameter or two, and bitsandbytes replaces linear layers only. Quantised after
the whole model is in memory they need four times what the run does: a mixture of 20 B weights 40 GB. Here each one is quantised
as soon as it is read, as linear layers are, so that loading needs the quantised model and one layer's experts beside it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from bitsandbytes import functional
from bitsandbytes.nn.parametrize import replace_parameter_4bit_prequantized
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedModel
from transformers.integrations.bitsandbytes import Bnb4bitQuantize
from transformers.quantizers import auto
from transformers.quantizers.quantizer_bnb_4bit import Bnb4BitHfQuantizer

BLOCK = 64
"""Weights that share a scale."""
PIECE = 1 << 20
"""Weights quantised at once, a multiple of `BLOCK`: on a CPU bitsandbytes takes 16 bytes for each."""
NESTED = 256
"""Scales that share one of their own."""
_KIND = "bitsandbytes_4bit"


def is_fused(model: nn.Module, name: str) -> bool:
    """Whether a parameter holds all experts of a layer."""
    path, _, own = name.rpartition(".")
    if not path.endswith("experts"):
        return False
    weights = model.get_submodule(path)._parameters.get(own)
    return weights is not None and weights.dim() == 3


@contextlib.contextmanager
def quantized_while_loading() -> Iterator[None]:
    """Within it, transformers quantises fused experts to nf4 as it does linear layers."""
    before = auto.AUTO_QUANTIZER_MAPPING[_KIND]
    auto.AUTO_QUANTIZER_MAPPING[_KIND] = WithExperts
    try:
        yield
    finally:
        auto.AUTO_QUANTIZER_MAPPING[_KIND] = before


class WithExperts(Bnb4BitHfQuantizer):
    """transformers' nf4, fused experts included."""

    def __init__(self, quantization_config: BitsAndBytesConfig, **named: bool) -> None:
        super().__init__(quantization_config, **named)
        self.states: dict[str, functional.QuantState] = {}

    def param_needs_quantization(self, model: PreTrainedModel, param_name: str, **named: object) -> bool:
        """Whether a tensor is quantised as it is read."""
        return super().param_needs_quantization(model, param_name, **named) or is_fused(model, param_name)

    def get_quantize_ops(self) -> Bnb4bitQuantize:
        """What quantises it."""
        return _Quantize(self)

    def _process_model_after_weight_loading(self, model: PreTrainedModel, **named: object) -> PreTrainedModel:
        for name, state in self.states.items():  # the numbers are in place: from here on they are unpacked when they are read
            path, _, own = name.rpartition(".")
            module = model.get_submodule(path)
            replace_parameter_4bit_prequantized(module, own, state.as_dict(packed=True), model.get_parameter(name).device)
        self.states.clear()
        return super()._process_model_after_weight_loading(model, **named)


class _Quantize(Bnb4bitQuantize):
    def convert(
        self,
        input_dict: dict[str, list[torch.Tensor]],
        full_layer_name: str | None = None,
        model: nn.Module | None = None,
        **named: object,
    ) -> dict[str, torch.Tensor]:
        """Quantised tensors by name."""
        experts = {name: input_dict.pop(name) for name in list(input_dict) if model is not None and is_fused(model, name)}
        quantized = super().convert(input_dict, full_layer_name, model, **named) if input_dict else {}
        double = self.hf_quantizer.quantization_config.bnb_4bit_use_double_quant
        for name in list(experts):
            read = experts.pop(name)
            packed, self.hf_quantizer.states[name] = quantize(read[0] if isinstance(read, list) else read, double)
            quantized[name] = nn.Parameter(packed, requires_grad=False)
        return quantized


def quantize(weights: torch.Tensor, double: bool) -> tuple[torch.Tensor, functional.QuantState]:
    """A tensor in nf4: bit for bit what bitsandbytes' `quantize_4bit` makes of it, in pieces that need little memory."""
    flat = weights.reshape(-1)
    packed = torch.empty(-(-len(flat) // 2), 1, dtype=torch.uint8, device=flat.device)
    scales = torch.empty(-(-len(flat) // BLOCK), dtype=torch.float32, device=flat.device)
    state: Any = None
    for start in range(0, len(flat), PIECE):
        part, state = functional.quantize_4bit(flat[start : start + PIECE], quant_type="nf4", blocksize=BLOCK)
        packed[start // 2 : start // 2 + len(part)] = part
        scales[start // BLOCK : start // BLOCK + len(state.absmax)] = state.absmax
    whole = {"shape": weights.shape, "dtype": weights.dtype, "blocksize": BLOCK, "quant_type": "nf4", "code": state.code}
    if not double:
        return packed, functional.QuantState(absmax=scales, **whole)
    offset = scales.mean()
    scales, nested = functional.quantize_blockwise(scales - offset, blocksize=NESTED)
    return packed, functional.QuantState(absmax=scales, offset=offset, state2=nested, **whole)
