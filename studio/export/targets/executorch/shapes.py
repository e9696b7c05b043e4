"""Less work while a program is lowered: what torchao's operators give back by shape alone, and only the passes that concern
a decoder.

A program is traced again by every pass over it, each operator on symbolic sizes. torchao's operators have no rule for that
and are taken apart into some twenty others each time, three of them for every linear layer; and XNNPACK runs passes for
convolutions and image resizing over each part it takes. Without both, lowering takes half the time and gives the same file.
"""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, dtype


UNUSED = (
    "ConvertToUpsampleBilinear2d", "ConvertToSDPAPass", "FuseBatchNormPass", "DecomposeBatchNorm", "FuseActivationPass",
    "DecomposeConcatenate", "InsertPadQDQPass", "Conv1dUnsqueezePass", "PReLUReshapePass", "ChannelsLastTaggedReshapePass",
    "RemoveRedundantCopyPass", "PropagateCustomMetaPass",
)  # fmt: skip
"""XNNPACK's passes that find nothing in a decoder: convolutions and copies into their layout, fused attention, activations of
image models, concatenations of more than four tensors, and marks that nobody set."""


def speed_up(on_part: Callable[[int], None]) -> None:
    """Both, in this process, which does nothing but lower one program. on_part: how many parts XNNPACK has taken."""
    import torch
    from executorch.backends.xnnpack._passes import XNNPACKPassManager
    from torchao.quantization import quant_primitives  # noqa: F401 - defines the operators

    library = torch.library.Library("torchao", "IMPL")
    for name, rule in (("choose_qparams", _chosen), ("quantize", _quantized), ("dequantize", _dequantized)):
        original = torch.library.get_kernel(f"torchao::{name}_affine", "CPU")
        library.impl(f"{name}_affine", _by_shape(rule, original.call_boxed), _KEY, with_keyset=True, allow_override=True)
    _KEPT.append(library)
    begin, parts = XNNPACKPassManager.__init__, itertools.count(1)

    def shorter(self: XNNPACKPassManager, *arguments: object, **named: object) -> None:
        begin(self, *arguments, **named)  # pyright: ignore[reportArgumentType] - as it was called
        on_part(next(parts))
        self.passes = [item for item in self.passes if item.__name__ not in UNUSED]

    XNNPACKPassManager.__init__ = shorter


_KEPT: list[object] = []
"""A library's rules end with it."""
_KEY = "CompositeImplicitAutograd"


def _by_shape(rule: Callable[..., Any], original: Callable[..., object]) -> Callable[..., Any]:
    """The rule for tensors that are traced, the original for those that hold numbers."""
    from torch._subclasses.fake_tensor import FakeTensor

    def chosen(keys: object, x: Tensor, *arguments: object, **named: object) -> object:
        return rule(x, *arguments, **named) if isinstance(x, FakeTensor) else original(keys, x, *arguments, **named)

    return chosen


def _chosen(
    x: Tensor,
    mapping: str,
    block: Sequence[int],
    target: dtype,
    quant_min: float | None = None,
    quant_max: float | None = None,
    eps: float | None = None,
    scale: dtype | None = None,
    zero: dtype | None = None,
    keepdim: bool = False,
) -> tuple[Tensor, Tensor]:
    """A scale and a zero point for each block."""
    import torch

    sizes = [
        size if width == 1 else size // width
        for size, width in zip(x.shape, block, strict=True)
        if keepdim or width == 1 or size != width
    ]
    return x.new_empty(sizes, dtype=scale or x.dtype), x.new_empty(sizes, dtype=zero or torch.int32)


def _quantized(x: Tensor, block: Sequence[int], scale: Tensor, zero: Tensor | None, to: dtype, *limits: object) -> Tensor:
    """As many numbers of the type `to`."""
    return x.new_empty(x.shape, dtype=to)


def _dequantized(
    x: Tensor,
    block: Sequence[int],
    scale: Tensor,
    zero: Tensor | None,
    of: dtype,
    *limits: object,
    output_dtype: dtype | None = None,
) -> Tensor:
    """As many floating-point numbers."""
    import torch

    return x.new_empty(x.shape, dtype=output_dtype or torch.float32)
