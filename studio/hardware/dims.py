"""Model dimensions: the sizes of a decoder that memory and speed depend on, and the sums that follow from them.

`studio.models.dims` reads them from a model's `config.json`; nothing here knows a config or an architecture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

SMALL_MODEL = 50_000_000
"""Parameters below which a model is small enough for fp32, one thread and a large learning rate."""
ATTENTION = frozenset({"q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj"})
"""The linear layers of attention, as most architectures name them."""
FEED_FORWARD = frozenset({"gate_proj", "up_proj", "down_proj"})
"""The linear layers of a gated feed-forward part, as most architectures name them."""
Counted = Literal["exact", "built", "like llama"]
"""How the counts were made: by an architecture's own facts, on a model built without memory, or as if it were a Llama."""


@dataclass(frozen=True)
class ModelDims:
    """Dimensions of a decoder. All counts are of weights; tied ones count once."""

    architecture: str
    """The config's `model_type`."""
    parameters: int
    quantizable: int
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
    max_positions: int
    """The model's context length in tokens."""
    linears: Mapping[str, tuple[int, int]]
    """The linear layers of one decoder layer by name, as (in, out); experts are left out."""
    sliding_window: int | None = None
    experts: int = 0
    """Experts in a layer; 0 in a dense model."""
    experts_adapted: bool = True
    """With `all-linear` peft adapts the experts, and then no plain feed-forward part beside them."""
    experts_used: int = 0
    """Experts each token goes through."""
    expert_tensors: int = 3
    """Tensors of an expert's width that its gate keeps for the backward pass."""
    sparse_layers: int = 0
    """Layers with experts."""
    dense_ffn: int = 0
    """Width of the feed-forward part in layers without experts."""
    norms_per_layer: int = 2
    """Norms of the hidden size in a layer."""
    query_key_norms: bool = False
    """Queries and keys are normalised."""
    fused: bool = False
    """One matrix makes queries, keys and values."""
    gated: bool = True
    """The feed-forward part has a gate beside its up projection."""
    only_eager: bool = False
    """Its attention has something that sdpa cannot compute (sinks): it is computed by eager."""
    streams: int = 1
    """Hidden states that run side by side from layer to layer (AltUp in Gemma 3n has four)."""
    per_layer: int = 0
    """Width of the embeddings that each layer has for itself (Gemma 3n and 4); 0 for none."""
    by_layer: tuple[Mapping[str, tuple[int, int]], ...] = ()
    """The linear layers of each decoder layer where these differ (convolution and attention in turn); empty where they are
    `linears` in all of them, which else are those of the widest."""
    gated_attention: bool = False
    """The answer of attention is multiplied by a gate of its width (Qwen 3.5)."""
    delta_layers: int = 0
    """Layers with a gated delta rule in place of attention (Qwen 3.5)."""
    delta_heads: int = 0
    """Value heads of such a layer."""
    delta_head: int = 0
    """Width of one of them."""
    delta_width: int = 0
    """Width of its queries, keys and values together."""
    outside: int = 0
    """in + out of the linear layers beside the decoder layers, head left out; `all-linear` adapts these too."""
    counted: Counted = "exact"

    @property
    def is_small(self) -> bool:
        """True below `SMALL_MODEL` parameters."""
        return self.parameters < SMALL_MODEL

    @property
    def query_width(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def key_width(self) -> int:
        """Width of all key heads together."""
        return self.kv_heads * self.head_dim

    @property
    def layer_experts(self) -> int:
        """Weights of all experts of one layer."""
        return self.expert_parameters // self.sparse_layers if self.sparse_layers else 0

    @property
    def active_parameters(self) -> int:
        """Weights that work on each token, embedding and head left out: all layers, but of the experts only those used."""
        idle = self.expert_parameters * (self.experts - self.experts_used) // self.experts if self.experts else 0
        return self.parameters - self.embedding - self.head - idle

    def adapted(self, targets: str | Sequence[str]) -> dict[str, tuple[int, int]]:
        """Those linear layers of a decoder layer that get an adapter, in one decoder layer or more: `all-linear`, `attention`,
        or names and expressions as `matches` takes them."""
        if targets == "all-linear":
            return dict(self.linears)
        wanted = ATTENTION if targets == "attention" else targets
        if isinstance(wanted, frozenset) or _plain(wanted):
            chosen = {name for name in self.names() if name.rpartition(".")[2] in wanted}
        else:
            chosen = {name for name, _, rank in self._matrices(1, targets, ()) if rank}
        each = ({name: size for name, size in layer.items() if name in chosen} for layer in self.by_layer or (self.linears,))
        return max(each, key=lambda layer: sum(inputs + outputs for inputs, outputs in layer.values()))

    def _matrices(
        self, rank: int, targets: str | Sequence[str], ranks: Iterable[tuple[str, int]]
    ) -> tuple[tuple[str, int, int], ...]:
        """Each linear layer with its decoder layer, and the rank of its adapter; 0 for none."""
        named = tuple(tuple(layer) for layer in self.by_layer) or (tuple(self.linears),) * self.layers
        beside = FEED_FORWARD if self.experts and self.experts_adapted else frozenset[str]()
        return _ranks(named, rank, targets if isinstance(targets, str) else tuple(targets), tuple(ranks), beside)

    def names(self) -> list[str]:
        """What the linear layers are called, in one decoder layer or another."""
        return list(dict.fromkeys(name for layer in self.by_layer or (self.linears,) for name in layer))

    def size(self, name: str, layer: int) -> tuple[int, int] | None:
        """(in, out) of a linear layer of one decoder layer; None if it has none of that name."""
        return (self.by_layer[layer] if self.by_layer else self.linears).get(name)

    def _sum(self, rank: int, targets: str | Sequence[str], ranks: Iterable[tuple[str, int]], inputs: bool) -> int:
        """Of all linear layers rank x outputs, or rank x (in + out)."""
        found = ((self.size(name, layer), each) for name, layer, each in self._matrices(rank, targets, ranks) if each)
        return sum(each * (size[1] + (size[0] if inputs else 0)) for size, each in found if size)

    def lora_parameters(
        self, rank: int, targets: str | Sequence[str] = "all-linear", ranks: Iterable[tuple[str, int]] = ()
    ) -> int:
        """Weights of a LoRA adapter: rank x (in + out) for each adapted linear layer (Hu et al. 2021).

        ranks are expressions and the ranks of the layers they match, the first that matches. With `all-linear`, peft adapts
        router and experts too: each expert's down projection by the rank, and its gate and up projection, which are one
        matrix, by twice the rank. Only of the architectures whose experts were separate layers once: `experts_adapted`.
        """
        experts = targets == "all-linear" and self.experts > 0 and self.experts_adapted
        if ranks or experts or self.by_layer or not (isinstance(targets, str) or _plain(targets)):
            dense = self._sum(rank, targets, ranks, inputs=True)
        else:
            dense = self.layers * rank * sum(inputs + outputs for inputs, outputs in self.adapted(targets).values())
        dense += rank * self.outside if targets == "all-linear" else 0
        if not experts:
            return dense
        expert = 2 * rank * (self.hidden + 2 * self.ffn) + rank * (self.ffn + self.hidden)
        router = rank * (self.hidden + self.experts)
        return dense + self.sparse_layers * (router + self.experts * expert)

    def adapter_parameters(
        self,
        rank: int,
        targets: str | Sequence[str] = "all-linear",
        dora: bool = False,
        ranks: Iterable[tuple[str, int]] = (),
    ) -> int:
        """Trained parameters of an adapter: LoRA's, and for DoRA one magnitude an output (Liu et al. 2024)."""
        magnitudes = self._sum(1, targets, (), inputs=False) if dora else 0
        return self.lora_parameters(rank, targets, ranks) + magnitudes

    def whole_parameters(self, modules: Iterable[str]) -> int:
        """Weights of modules that are trained whole, by name: embeddings, head, and norms, which are counted as wide as the
        model."""
        sizes = {"embed_tokens": self.embedding, "lm_head": self.head or self.embedding, "norm": self.hidden}
        return sum(sizes.get(name.rpartition(".")[2], self.layers * self.hidden) for name in modules)

    def paths(self) -> list[str]:
        """The linear layers by path, as most architectures name them: `model.layers.0.self_attn.q_proj`."""
        return [_path(name, layer) for layer in range(self.layers) for name in self.names() if self.size(name, layer)]


def matches(pattern: str, path: str) -> bool:
    """Whether a name or regular expression means the module at `path`: it matches the path, or its end after a dot."""
    return re.fullmatch(rf"(.*\.)?({pattern})", path) is not None


def _plain(targets: Sequence[str]) -> bool:
    return all(target.isidentifier() for target in targets)


def _path(name: str, layer: int) -> str:
    part = "" if "." in name else "self_attn." if name in ATTENTION else "mlp."
    return f"model.layers.{layer}.{part}{name}"


@lru_cache(maxsize=256)
def _ranks(
    named: tuple[tuple[str, ...], ...],
    rank: int,
    targets: str | tuple[str, ...],
    ranks: tuple[tuple[str, int], ...],
    beside: frozenset[str],
) -> tuple[tuple[str, int, int], ...]:
    found = []
    for layer, names in enumerate(named):
        for name in names:
            path, last = _path(name, layer), name.rpartition(".")[2]
            if isinstance(targets, str):
                wanted = (targets == "all-linear" and last not in beside) or last in ATTENTION
            else:
                wanted = any(matches(target, path) for target in targets)
            own = next((each for pattern, each in ranks if matches(pattern, path)), rank)
            found.append((name, layer, own if wanted else 0))
    return tuple(found)
