"""The decoder's modules: what transformers computes, in operations that export. Imported late: it subclasses torch's.

No shape depends on data: the cache holds `context` places from the start, every token looks at all of them, and the mask
says which count. Batch size is 1. Names of modules are those of the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from studio.export.decoder.architecture import Architecture

HIDDEN = -1e4
"""Added to the score of a place that is not looked at: nothing after softmax, in float16 too."""
ACTIVATIONS = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
}


class Norm(nn.Module):
    """RMSNorm over the last dimension (Zhang & Sennrich, 2019).

    The mean of squares is a product with a row of 1 / width: runtimes for phones hand products to their fast kernels, and
    means often not (twice the tokens per second in ExecuTorch on the starter).
    """

    average: Tensor

    def __init__(self, weight: Tensor, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(weight, requires_grad=False), eps
        self.register_buffer("average", torch.full((1, len(weight)), 1 / len(weight)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x * torch.rsqrt(functional.linear(x * x, self.average) + self.eps) * self.weight


class Cache(nn.Module):
    """One layer's keys and values, [1, kv_heads, context, head_size] each, written at `positions` by index.

    A runtime that wants another layout gives `build` a class of its own with this signature.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, kv_heads: int, context: int, head_size: int) -> None:
        super().__init__()
        for name in ("keys", "values"):
            self.register_buffer(name, torch.zeros(1, kv_heads, context, head_size), persistent=False)

    def forward(self, keys: Tensor, values: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Write [1, kv_heads, n, head_size] at `positions` [n]; give all that is held."""
        self.keys.index_copy_(2, positions, keys)
        self.values.index_copy_(2, positions, values)
        return self.keys, self.values


class Attention(nn.Module):
    """Grouped-query attention (Ainslie et al., 2023) over the cache, with rotary positions (Su et al., 2021).

    parts: linear layers `q_proj k_proj v_proj` or the fused `qkv_proj`, `o_proj`, and norms `q_norm k_norm` if it has them.
    """

    q_proj: nn.Module
    k_proj: nn.Module
    v_proj: nn.Module
    qkv_proj: nn.Module
    o_proj: nn.Module
    q_norm: nn.Module
    k_norm: nn.Module

    def __init__(self, parts: Mapping[str, nn.Module], shape: Architecture, cache: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.heads, self.kv_heads, self.head_size = shape.heads, shape.kv_heads, shape.head_size
        self.scale, self.cap = shape.attention_scale, shape.attention_cap
        self.fused, self.normed = "qkv_proj" in parts, "q_norm" in parts
        self.cache = cache

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """x [1, n, hidden]; cos, sin [n, rotated / 2]; mask [1, 1, n, places], added to scores."""
        n, together = x.shape[1], self.heads // self.kv_heads
        queries, keys, values = (part.transpose(1, 2) for part in self._projected(x))
        if self.normed:
            queries, keys = self.q_norm(queries), self.k_norm(keys)
        keys, values = self.cache(rotated(keys, cos, sin), values, positions)
        # batches of one are left out of products, and heads that share keys lie in one row: nothing is copied or repeated
        queries = (rotated(queries, cos, sin) * self.scale).reshape(self.kv_heads, together * n, self.head_size)
        scores = torch.bmm(queries, keys.reshape(self.kv_heads, -1, self.head_size).transpose(1, 2))
        scores = scores.reshape(1, self.heads, n, -1)
        if self.cap:
            scores = torch.tanh(scores / self.cap) * self.cap
        weights = torch.softmax(scores + mask, -1).reshape(self.kv_heads, together * n, -1)
        mixed = torch.bmm(weights, values.reshape(self.kv_heads, -1, self.head_size))
        mixed = mixed.reshape(1, self.heads, n, self.head_size).transpose(1, 2)
        return self.o_proj(mixed.reshape(1, n, self.heads * self.head_size))

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, [1, n, heads, head_size] each."""
        if self.fused:
            widths = [self.heads * self.head_size, self.kv_heads * self.head_size, self.kv_heads * self.head_size]
            flat: Sequence[Tensor] = self.qkv_proj(x).split(widths, -1)
        else:
            flat = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        counts = self.heads, self.kv_heads, self.kv_heads
        q, k, v = (part.reshape(1, x.shape[1], count, self.head_size) for part, count in zip(flat, counts, strict=True))
        return q, k, v


class Mlp(nn.Module):
    """The gated feed-forward layer (Shazeer, 2020): `gate_proj up_proj` or the fused `gate_up_proj`, and `down_proj`."""

    gate_proj: nn.Module
    up_proj: nn.Module
    gate_up_proj: nn.Module
    down_proj: nn.Module

    def __init__(self, parts: Mapping[str, nn.Module], activation: str) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.fused, self.activation = "gate_up_proj" in parts, ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        gate, up = self.gate_up_proj(x).chunk(2, -1) if self.fused else (self.gate_proj(x), self.up_proj(x))
        return self.down_proj(self.activation(gate) * up)


class Layer(nn.Module):
    """One layer: attention and feed-forward, with a norm before each, and in Gemma one after each too.

    norms: `input_layernorm post_attention_layernorm`, for Gemma 2 and 3 `pre_feedforward_layernorm
    post_feedforward_layernorm` as well.
    """

    input_layernorm: nn.Module
    post_attention_layernorm: nn.Module
    pre_feedforward_layernorm: nn.Module
    post_feedforward_layernorm: nn.Module

    def __init__(self, attention: Attention, mlp: Mlp, norms: Mapping[str, nn.Module], kind: str, scale: float) -> None:
        super().__init__()
        self.self_attn, self.mlp = attention, mlp
        for name, norm in norms.items():
            self.add_module(name, norm)
        self.sandwiched = "pre_feedforward_layernorm" in norms
        self.kind: str = kind
        self.scale = scale

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """x [1, n, hidden] and what `Attention` takes; the same shape."""
        seen = self.self_attn(self.input_layernorm(x), cos, sin, mask, positions)
        if self.sandwiched:
            x = x + self.post_attention_layernorm(seen) * self.scale
            return x + self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(x))) * self.scale
        x = x + seen * self.scale
        return x + self.mlp(self.post_attention_layernorm(x)) * self.scale


class Decoder(nn.Module):
    """A language model with its cache inside.

    ropes: per kind of layer its tables (cos, sin) [context, rotated / 2]. last: logits of the last token only.
    """

    def __init__(
        self,
        shape: Architecture,
        context: int,
        embed_tokens: nn.Module,
        layers: Sequence[Layer],
        norm: Norm,
        lm_head: nn.Module,
        ropes: Mapping[str, tuple[Tensor, Tensor]],
        last: bool,
    ) -> None:
        super().__init__()
        self.shape, self.context, self.last = shape, context, last
        self.embed_tokens, self.norm, self.lm_head = embed_tokens, norm, lm_head
        self.layers = nn.ModuleList(layers)
        self.layer_kinds = tuple(layer.kind for layer in layers)
        self.register_buffer("places", torch.arange(context), persistent=False)
        for kind, (cos, sin) in ropes.items():
            self.register_buffer(f"cos_{kind}", cos, persistent=False)
            self.register_buffer(f"sin_{kind}", sin, persistent=False)

    def forward(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        """Logits [1, n, vocabulary] (`last`: [1, 1, vocabulary]) of input_ids [1, n] at positions [n], each < context.

        Writes their keys and values into the cache; what lies there at later positions is not seen, so a new text begins
        at position 0 without clearing.
        """
        return self.attended(input_ids, positions, self.masks(positions))

    def masks(self, positions: Tensor) -> dict[str, Tensor]:
        """By kind of layer what is added to scores, [1, 1, n, context]: 0 at places seen from `positions`, else `HIDDEN`."""
        now, places = positions[:, None], self.get_buffer("places")[None, :]
        masks = {}
        for name, kind in self.shape.kinds.items():
            seen = places <= now
            if kind.window and kind.window < self.context:
                seen = seen & (places > now - kind.window)
            masks[name] = torch.where(seen, 0.0, HIDDEN)[None, None]
        return masks

    def attended(self, input_ids: Tensor, positions: Tensor, masks: Mapping[str, Tensor]) -> Tensor:
        """`forward` with masks that are given: for runtimes that take them as an input."""
        x = self.embed_tokens(input_ids)
        if self.shape.embedding_scale != 1:
            x = x * self.shape.embedding_scale
        tables = {name: tuple(self.get_buffer(f"{part}_{name}")[positions] for part in ("cos", "sin")) for name in masks}
        for layer, kind in zip(self.layers, self.layer_kinds, strict=True):
            x = layer(x, *tables[kind], masks[kind], positions)
        x = self.norm(x[:, -1:] if self.last else x)
        logits = self.lm_head(x)
        if self.shape.logit_scale != 1:
            logits = logits * self.shape.logit_scale
        if self.shape.final_cap:
            logits = torch.tanh(logits / self.shape.final_cap) * self.shape.final_cap
        return logits


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [1, heads, n, head_size] with its first 2 * cos.shape[-1] features turned, halves as pairs; the rest is kept."""
    half = cos.shape[-1]
    first, second = x[..., :half], x[..., half : 2 * half]
    turned = [first * cos - second * sin, second * cos + first * sin]
    return torch.cat([*turned, x[..., 2 * half :]] if 2 * half < x.shape[-1] else turned, -1)
