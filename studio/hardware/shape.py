"""What memory and speed depend on in a model: sizes, as `studio.models.shape` reads them from a config, and sums of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

HEAD_NORMS = frozenset({"qwen3", "qwen3_moe", "gemma3_text", "gemma3", "olmoe", "olmo2"})
"""Architectures that normalise queries and keys."""
FOUR_NORMS = frozenset({"gemma2", "gemma3_text", "gemma3"})
"""Architectures with four norms a layer instead of two."""
ATTENTION = frozenset({"q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj"})
"""The linear layers of attention."""


class Shape(Protocol):
    """Sizes of a decoder."""

    @property
    def arch(self) -> str:
        """The config's `model_type`."""
        ...

    @property
    def parameters(self) -> int:
        """All parameters, tied ones once."""
        ...

    @property
    def quantisable(self) -> int:
        """Weights of the linear layers bitsandbytes replaces: not embeddings, head, norms, biases or experts."""
        ...

    @property
    def embedding(self) -> int:
        """Weights of the embedding."""
        ...

    @property
    def head(self) -> int:
        """Weights of the output matrix; 0 where it is the embedding."""
        ...

    @property
    def expert_parameters(self) -> int:
        """Weights of fused experts."""
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
        """Query heads."""
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
        """Experts in a layer; 0 in a dense model."""
        ...

    @property
    def experts_used(self) -> int:
        """Experts each token goes through."""
        ...

    @property
    def fused(self) -> bool:
        """True if queries, keys and values are one linear layer."""
        ...

    @property
    def linears(self) -> Mapping[str, tuple[int, int]]:
        """The linear layers of one decoder layer by name, as (in, out), experts left out."""
        ...

    def lora_parameters(self, rank: int, targets: str | Sequence[str] = "all-linear") -> int:
        """Weights of a LoRA adapter of `rank`."""
        ...


def queries(shape: Shape) -> int:
    """Width of all query heads together."""
    return shape.heads * shape.head_dim


def keys(shape: Shape) -> int:
    """Width of all key heads together."""
    return shape.kv_heads * shape.head_dim


def active(shape: Shape) -> int:
    """Weights that work on each token, embedding and head left out: all layers, but of the experts only those used."""
    idle = shape.expert_parameters * (shape.experts - shape.experts_used) // shape.experts if shape.experts else 0
    return shape.parameters - shape.embedding - shape.head - idle


def adapted(shape: Shape, targets: str | tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Those linear layers of a decoder layer that get an adapter: `all-linear`, `attention`, or names."""
    if targets == "all-linear":
        return dict(shape.linears)
    wanted = ATTENTION if targets == "attention" else frozenset(targets)
    return {name: size for name, size in shape.linears.items() if name in wanted}


def adapter_parameters(shape: Shape, rank: int, targets: str | tuple[str, ...] = "all-linear", dora: bool = False) -> int:
    """Trained parameters: rank x (in + out) for each adapted layer (LoRA, Hu et al. 2021); DoRA adds out (Liu et al. 2024)."""
    magnitudes = shape.layers * sum(outputs for _, outputs in adapted(shape, targets).values()) if dora else 0
    return shape.lora_parameters(rank, targets) + magnitudes
