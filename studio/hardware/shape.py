"""A model's shape, read from its `config.json`: layers, their sizes, how many weights it has and how many an adapter has.

Counted by arithmetic, so that neither torch nor weights are needed. The count is exact for the presets (a test compares it
with the published one); for an architecture not named here it is that of the nearest, a Llama.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio.core.errors import ModelError

FUSED = frozenset({"phi3"})
"""Architectures whose queries, keys and values are one linear layer, and so gate and up."""
QKV_BIAS = frozenset({"qwen2", "qwen2_moe"})
"""Architectures with a bias on queries, keys and values whatever the config says."""
HEAD_NORMS = frozenset({"qwen3", "qwen3_moe", "gemma3_text", "gemma3"})
"""Architectures that normalise each head's query and key."""
WIDE_NORMS = frozenset({"olmoe", "olmo2"})
"""Architectures that normalise all queries and all keys together."""
FOUR_NORMS = frozenset({"gemma2", "gemma3_text", "gemma3"})
"""Architectures with four norms a layer instead of two."""


@dataclass(frozen=True)
class Shape:
    """What memory and speed depend on in a model."""

    parameters: int
    """All parameters, tied ones once."""
    quantisable: int
    """Weights of the linear layers bitsandbytes replaces: not embeddings, head, norms, biases or fused experts."""
    active: int
    """Parameters that work on each token, without embeddings and head: all layers, but only the chosen experts."""
    layers: int
    hidden: int
    ffn: int
    """Width of the feed-forward part; of one expert in a mixture of experts."""
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool
    """True if the head is the embedding."""
    experts: int = 0
    """Experts a layer; 0 in a dense model."""
    experts_per_token: int = 0
    norms: int = 2
    """Norms a layer over the hidden size."""
    qk_norm: bool = False
    """True if queries and keys are normalised."""
    fused: bool = False
    """True if queries, keys and values are one linear layer."""

    @property
    def queries(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """Width of all key heads together."""
        return self.kv_heads * self.head_dim


def shape(config: Mapping[str, Any]) -> Shape:
    """The shape a `config.json` describes; of a model that also sees or hears, its language part.

    Raises ModelError if the config lacks the sizes of a decoder.
    """
    text: Mapping[str, Any] = config.get("text_config") or config
    kind = str(text.get("model_type") or config.get("model_type") or "")
    hidden, layers = _size(text, "hidden_size", "n_embd", "d_model"), _size(text, "num_hidden_layers", "n_layer", "n_layers")
    heads, vocab = _size(text, "num_attention_heads", "n_head", "n_heads"), _size(text, "vocab_size")
    kv_heads = int(text.get("num_key_value_heads") or heads)
    head_dim = int(text.get("head_dim") or hidden // heads)
    experts = int(text.get("num_experts") or text.get("num_local_experts") or 0)
    chosen = int(text.get("num_experts_per_tok") or text.get("experts_per_token") or 0)
    narrow = text.get("moe_intermediate_size") if experts else None
    ffn = int(narrow or text.get("intermediate_size") or text.get("n_inner") or 4 * hidden)
    tied = bool(text.get("tie_word_embeddings", config.get("tie_word_embeddings", kind.startswith("gemma"))))
    norms = 4 if kind in FOUR_NORMS else 2
    queries, keys = heads * head_dim, kv_heads * head_dim

    attention = 2 * hidden * queries + 2 * hidden * keys
    expert = 3 * hidden * ffn
    small = norms * hidden + _head_norms(kind, queries, keys, head_dim) + _biases(kind, text, hidden, queries, keys, ffn)
    linear = layers * (attention + (0 if experts else expert))
    router = layers * experts * hidden
    embeddings = vocab * hidden * (1 if tied else 2)
    rest = layers * small + hidden + router
    return Shape(
        parameters=linear + layers * experts * expert + rest + embeddings,
        quantisable=linear,
        active=linear + layers * chosen * expert + rest,
        layers=layers,
        hidden=hidden,
        ffn=ffn,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocab=vocab,
        tied=tied,
        experts=experts,
        experts_per_token=chosen,
        norms=norms,
        qk_norm=kind in HEAD_NORMS | WIDE_NORMS,
        fused=kind in FUSED,
    )


def linears(shape: Shape) -> dict[str, tuple[int, int]]:
    """The linear layers of one decoder layer by name, as (in, out). Those of experts are not among them."""
    hidden, queries, keys, ffn = shape.hidden, shape.queries, shape.keys, shape.ffn
    if shape.fused:
        attention = {"qkv_proj": (hidden, queries + 2 * keys)}
    else:
        attention = {"q_proj": (hidden, queries), "k_proj": (hidden, keys), "v_proj": (hidden, keys)}
    attention["o_proj"] = (queries, hidden)
    if shape.experts:
        return attention
    if shape.fused:
        return {**attention, "gate_up_proj": (hidden, 2 * ffn), "down_proj": (ffn, hidden)}
    return {**attention, "gate_proj": (hidden, ffn), "up_proj": (hidden, ffn), "down_proj": (ffn, hidden)}


def adapted(shape: Shape, targets: str | tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """Those linear layers of a decoder layer that get an adapter: `all-linear`, `attention`, or names."""
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


def _size(text: Mapping[str, Any], *names: str) -> int:
    for name in names:
        if text.get(name):
            return int(text[name])
    raise ModelError(
        f"its config.json has no `{names[0]}`, so its size is not known",
        hint="Choose a decoder-only language model that transformers loads, such as those in configs/.",
        where="model.name",
    )


def _head_norms(kind: str, queries: int, keys: int, head_dim: int) -> int:
    if kind in HEAD_NORMS:
        return 2 * head_dim
    return queries + keys if kind in WIDE_NORMS else 0


def _biases(kind: str, text: Mapping[str, Any], hidden: int, queries: int, keys: int, ffn: int) -> int:
    attention = queries + 2 * keys if kind in QKV_BIAS or text.get("attention_bias") else 0
    if text.get("attention_bias") and kind not in QKV_BIAS:
        attention += hidden
    return attention + (2 * ffn + hidden if text.get("mlp_bias") else 0)
