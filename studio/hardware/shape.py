"""A model's shape, as far as memory and speed depend on it: its layers, their sizes, and how many weights an adapter has."""

from __future__ import annotations

from typing import Protocol


class Shape(Protocol):
    """What memory and speed depend on in a model; `studio.models.loading.shape` reads it from a config."""

    @property
    def parameters(self) -> int:
        """All parameters, tied ones once."""
        ...

    @property
    def quantisable(self) -> int:
        """Weights of the linear layers bitsandbytes replaces: not embeddings, head, norms or fused experts."""
        ...

    @property
    def layers(self) -> int:
        """Decoder layers."""
        ...

    @property
    def hidden(self) -> int:
        """Hidden size."""
        ...

    @property
    def ffn(self) -> int:
        """Width of the feed-forward part; of one expert in a mixture of experts."""
        ...

    @property
    def heads(self) -> int:
        """Attention heads."""
        ...

    @property
    def kv_heads(self) -> int:
        """Key and value heads."""
        ...

    @property
    def head_dim(self) -> int:
        """Size of one head."""
        ...

    @property
    def vocab(self) -> int:
        """Rows of the embedding."""
        ...

    @property
    def experts(self) -> int:
        """Experts a layer; 0 in a dense model."""
        ...


def linears(shape: Shape) -> dict[str, tuple[int, int]]:
    """The linear layers of one decoder layer by name, as (in, out). Those of experts are not among them."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    fused = getattr(shape, "fused", False)
    attention = (
        {"qkv_proj": (shape.hidden, queries + 2 * keys)}
        if fused
        else {"q_proj": (shape.hidden, queries), "k_proj": (shape.hidden, keys), "v_proj": (shape.hidden, keys)}
    )
    attention["o_proj"] = (queries, shape.hidden)
    if shape.experts:
        return attention
    gates = (
        {"gate_up_proj": (shape.hidden, 2 * shape.ffn)}
        if fused
        else {"gate_proj": (shape.hidden, shape.ffn), "up_proj": (shape.hidden, shape.ffn)}
    )
    return {**attention, **gates, "down_proj": (shape.ffn, shape.hidden)}


def adapted(shape: Shape, targets: str | tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Those linear layers of a decoder layer that get an adapter."""
    every = linears(shape)
    if targets == "all-linear":
        return every
    if targets == "attention":
        return {name: size for name, size in every.items() if name in ("q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj")}
    return {name: size for name, size in every.items() if name in targets}


def adapter_parameters(shape: Shape, rank: int, targets: str | tuple[str, ...] = "all-linear", dora: bool = False) -> int:
    """Trained parameters: rank x (in + out) for each adapted layer (LoRA, Hu et al. 2021); DoRA adds out (Liu et al. 2024)."""
    each = sum(rank * (inputs + outputs) + (outputs if dora else 0) for inputs, outputs in adapted(shape, targets).values())
    return shape.layers * each
