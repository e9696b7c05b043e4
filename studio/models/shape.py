"""A model's shape and exact parameter counts, from its `config.json` alone: no torch, nothing downloaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.core.errors import ModelError


@dataclass(frozen=True)
class Arch:
    """What an architecture is where its config does not say: `defaults` are those of the transformers config class."""

    defaults: Mapping[str, Any]
    norms: int = 2
    """Norms of the hidden size in a layer."""
    head_norms: str = ""
    """Norms of queries and keys: per head (`head`), over all heads (`all`), or none."""
    bias: str = ""
    """Projections with a bias whatever the config says."""
    fused: bool = False
    """One matrix for queries, keys and values, one for gate and up."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder. All counts are of weights; tied ones count once."""

    arch: str
    parameters: int
    quantisable: int
    """Weights of the linear layers that bitsandbytes replaces: not embeddings, head, norms, biases, router or experts."""
    embedding: int
    head: int
    """Output matrix; 0 where it is the embedding."""
    norms: int
    """Norms, biases and routers."""
    expert_parameters: int
    """Fused experts: three-dimensional parameters, which bitsandbytes does not replace by itself."""
    layers: int
    hidden: int
    ffn: int
    """Width of the feed-forward part; of one expert in a mixture of experts."""
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool
    experts: int
    """Experts in a layer; 0 in a dense model."""
    experts_used: int
    """Experts each token goes through."""
    sparse_layers: int
    """Layers with experts."""
    dense_ffn: int
    """Width of the feed-forward part in layers without experts."""
    max_positions: int
    sliding_window: int | None
    fused: bool = False

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """The linear layers of one decoder layer by name, as (in, out), experts left out."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        if self.fused:
            attention = {"qkv_proj": (self.hidden, queries + 2 * keys)}
        else:
            attention = {
                "q_proj": (self.hidden, queries),
                "k_proj": (self.hidden, keys),
                "v_proj": (self.hidden, keys),
            }
        attention["o_proj"] = (queries, self.hidden)
        if self.experts:
            return attention
        if self.fused:
            return {**attention, "gate_up_proj": (self.hidden, 2 * self.ffn), "down_proj": (self.ffn, self.hidden)}
        gates = {"gate_proj": (self.hidden, self.ffn), "up_proj": (self.hidden, self.ffn)}
        return {**attention, **gates, "down_proj": (self.ffn, self.hidden)}

    def lora_parameters(self, rank: int, targets: str | Sequence[str] = "all-linear") -> int:
        """Weights of a LoRA adapter: rank x (in + out) for each adapted linear layer (Hu et al. 2021).

        With `all-linear`, peft adapts router and experts too: each expert's down projection by the rank, and its gate and
        up projection, which are one matrix, by twice the rank.
        """
        names = {
            "all-linear": set(self.linears),
            "attention": {"q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj"},
        }.get(targets if isinstance(targets, str) else "", set(targets))
        each = sum(inputs + outputs for name, (inputs, outputs) in self.linears.items() if name in names)
        if targets != "all-linear" or not self.experts:
            return self.layers * rank * each
        expert = 2 * rank * (self.hidden + 2 * self.ffn) + rank * (self.ffn + self.hidden)
        router = rank * (self.hidden + self.experts)
        plain = (self.layers - self.sparse_layers) * rank * 3 * (self.hidden + self.dense_ffn)
        return self.layers * rank * each + self.sparse_layers * (router + self.experts * expert) + plain


ARCHS: dict[str, Arch] = {
    "llama": Arch({"vocab_size": 32000, "max_position_embeddings": 2048}),
    "mistral": Arch({"vocab_size": 32000, "num_key_value_heads": 8, "max_position_embeddings": 131072, "sliding_window": 4096}),
    "qwen2": Arch({"vocab_size": 151936, "max_position_embeddings": 32768}, bias="qkv"),
    "qwen3": Arch({"vocab_size": 151936, "max_position_embeddings": 32768, "head_dim": 128}, head_norms="head"),
    "gemma2": Arch(
        {
            "vocab_size": 256000,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": True,
            "sliding_window": 4096,
            "num_attention_heads": 8,
        },
        norms=4,
    ),
    "gemma3_text": Arch(
        {
            "vocab_size": 262208,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "max_position_embeddings": 131072,
            "tie_word_embeddings": True,
            "sliding_window": 4096,
            "num_attention_heads": 8,
        },
        norms=4,
        head_norms="head",
    ),
    "phi3": Arch({"vocab_size": 32064, "max_position_embeddings": 4096}, fused=True),
    "granite": Arch({"vocab_size": 32000, "max_position_embeddings": 2048}),
    "mixtral": Arch(
        {
            "vocab_size": 32000,
            "num_key_value_heads": 8,
            "max_position_embeddings": 131072,
            "num_experts": 8,
            "num_experts_per_tok": 2,
        }
    ),
    "qwen3_moe": Arch(
        {
            "vocab_size": 151936,
            "num_attention_heads": 32,
            "num_key_value_heads": 4,
            "max_position_embeddings": 32768,
            "num_experts": 128,
            "num_experts_per_tok": 8,
            "moe_intermediate_size": 768,
        },
        head_norms="head",
    ),
    "olmoe": Arch(
        {"vocab_size": 50304, "max_position_embeddings": 4096, "num_experts": 64, "num_experts_per_tok": 8},
        head_norms="all",
    ),
}


def shape(config: Mapping[str, Any]) -> Shape:
    """The shape of a decoder from its config, exact to the last weight for the architectures in `ARCHS`.

    Another architecture is counted as a Llama of its sizes, which is close. Raises ModelError for a config that does
    not describe a decoder.
    """
    text = config.get("text_config") or config
    name = str(text.get("model_type") or config.get("model_type") or "")
    arch = ARCHS.get(name, ARCHS["llama"])

    def value(key: str, *others: str, default: Any = None) -> Any:
        for source in (text, config if key == "tie_word_embeddings" else {}, arch.defaults):
            for wanted in (key, *others):
                if source.get(wanted) is not None:
                    return source[wanted]
        return default

    try:
        hidden, layers = int(text["hidden_size"]), int(text["num_hidden_layers"])
        ffn = int(value("intermediate_size"))
        heads = int(value("num_attention_heads"))
    except (KeyError, TypeError, ValueError) as problem:
        raise ModelError(
            f"its config.json does not describe a decoder: {problem}", hint="Name a causal language model.", where="model.name"
        ) from None
    kv_heads = int(value("num_key_value_heads", default=heads))
    head_dim = int(value("head_dim", default=hidden // heads))
    vocab, tied = int(value("vocab_size")), bool(value("tie_word_embeddings", default=False))
    mixture = "num_experts" in arch.defaults or name not in ARCHS
    experts = int(value("num_local_experts", "num_experts", default=0)) if mixture else 0
    expert_ffn = int(value("moe_intermediate_size", default=ffn))
    queries, keys = heads * head_dim, kv_heads * head_dim

    attention = hidden * (queries + 2 * keys) + queries * hidden
    feed_forward = 3 * hidden * ffn
    expert = experts * 3 * hidden * expert_ffn
    small = arch.norms * hidden + {"head": 2 * head_dim, "all": queries + keys, "": 0}[arch.head_norms]
    if arch.bias == "qkv":
        small += queries + 2 * keys
    elif value("attention_bias", default=False):
        small += queries + 2 * keys + hidden
    if value("mlp_bias", default=False) and not experts:
        small += 2 * ffn + hidden
    dense = set(value("mlp_only_layers", default=())) if experts else set(range(layers))
    step = int(value("decoder_sparse_step", default=1))
    sparse = sum(place not in dense and (place + 1) % step == 0 for place in range(layers)) if experts else 0
    plain = layers - sparse

    embedding = vocab * hidden
    head = 0 if tied else embedding
    quantisable = layers * attention + plain * feed_forward
    norms = layers * small + sparse * experts * hidden + hidden
    return Shape(
        arch=name,
        parameters=quantisable + sparse * expert + norms + embedding + head,
        quantisable=quantisable,
        embedding=embedding,
        head=head,
        norms=norms,
        expert_parameters=sparse * expert,
        layers=layers,
        hidden=hidden,
        ffn=expert_ffn if experts else ffn,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocab=vocab,
        tied=tied,
        experts=experts,
        experts_used=int(value("num_experts_per_tok", default=0)) if experts else 0,
        sparse_layers=sparse,
        dense_ffn=ffn,
        max_positions=int(value("max_position_embeddings", default=2048)),
        sliding_window=_window(text, value("sliding_window")),
        fused=arch.fused,
    )


def _window(text: Mapping[str, Any], window: Any) -> int | None:
    off = text.get("use_sliding_window") is False or ("sliding_window" in text and text["sliding_window"] is None)
    return None if off or not window else int(window)
