"""Inside the environment `coreml`: the shared decoder with the inputs and states that Core ML's chat libraries know.

Inputs `inputIds` [1, n] and `causalMask` [1, 1, n, end]: the mask's width tells how many tokens there are with these, and so
where they begin. States `keyCache` and `valueCache`, [layers, 1, kv_heads, context, head_size]. Imported late: it subclasses
torch's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from studio.export.decoder.build import build
from studio.export.decoder.modules import HIDDEN, Norm


class Span:
    """Where the tokens that are computed now lie: places begin..end - 1 of the caches."""

    begin = 0
    end = 1


class Slot(nn.Module):
    """One layer's part of the states, written by slice. `span` is set before the layers run."""

    def __init__(self, index: int, states: tuple[Tensor, Tensor], span: Span) -> None:
        super().__init__()
        self.place, self.span = index, span
        self.states = [*states]  # in a list: they are the buffers of the whole, not of each layer

    def forward(self, keys: Tensor, values: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Write [1, kv_heads, n, head_size] into the span; give all up to its end."""
        begin, end = self.span.begin, self.span.end
        held = []
        for state, new in zip(self.states, (keys, values), strict=True):
            state[self.place, :, :, begin:end, :] = new
            held.append(state[self.place, :, :, :end, :])
        return held[0], held[1]


class HalfNorm(nn.Module):
    """RMSNorm as float16 can compute it: divided by its largest number first, whose square would else be beyond 65,504.

    x / rms(x) does not change when x is scaled, if what is added under the root is scaled too.
    """

    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.weight, self.root = norm.weight, norm.eps**0.5

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        largest = x.abs().amax(-1, keepdim=True) + 1e-3
        small, added = x / largest, self.root / largest
        return small * torch.rsqrt((small * small).mean(-1, keepdim=True) + added * added) * self.weight


class Stateful(nn.Module):
    """Logits [1, 1, vocabulary] of the last of `inputIds`; the caches are buffers, which Core ML makes states."""

    keyCache: Tensor
    valueCache: Tensor

    def __init__(self, folder: Path, context: int) -> None:
        super().__init__()
        from transformers import AutoConfig

        from studio.export.decoder.architecture import architecture

        config: Any = AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config()
        shape = architecture(config)
        size = (len(shape.layers), 1, shape.kv_heads, context, shape.head_size)
        states = torch.zeros(size), torch.zeros(size)
        self.span, self.made = Span(), 0

        def slot(kv_heads: int, context: int, head_size: int) -> Slot:
            self.made += 1
            return Slot(self.made - 1, states, self.span)

        self.decoder = build(folder, context, last=True, cache=slot)
        for name, module in list(self.decoder.named_modules()):
            if isinstance(module, Norm):
                self.decoder.set_submodule(name, HalfNorm(module))
        self.register_buffer("keyCache", states[0])
        self.register_buffer("valueCache", states[1])

    def forward(self, inputIds: Tensor, causalMask: Tensor) -> Tensor:
        """The decoder at the places the mask tells."""
        self.span.end = causalMask.shape[-1]
        self.span.begin = self.span.end - inputIds.shape[-1]
        positions = torch.arange(self.span.begin, self.span.end)
        masks = {}
        for name, kind in self.decoder.shape.kinds.items():
            masks[name] = causalMask
            if kind.window and kind.window < self.decoder.context:
                far = torch.arange(self.span.end)[None, :] <= positions[:, None] - kind.window
                masks[name] = causalMask + far.to(causalMask.dtype) * HIDDEN
        return self.decoder.attended(inputIds, positions, masks)


def mask(count: int, end: int) -> Tensor:
    """The mask for the last `count` of `end` tokens, [1, 1, count, end]."""
    seen = torch.arange(end)[None, :] <= torch.arange(end - count, end)[:, None]
    return torch.where(seen, 0.0, HIDDEN)[None, None]
