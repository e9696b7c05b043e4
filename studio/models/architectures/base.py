"""What a model architecture is, as plain facts: what its config leaves out, what it computes, how runtimes name it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

LARGE_MODEL = 6_500_000_000
"""Parameters from which the smaller learning rate is advised."""
COMPACT_MODEL = 300_000_000
"""Parameters below which a model needs, and bears, the larger learning rate."""
ConfigValues = Mapping[str, Any]
"""A `config.json`, or a part of it: JSON of others."""
GgufValue = int | float | str | bool


class TextConfig(Protocol):
    """The language model's part of a transformers config; each architecture has attributes of its own besides."""

    model_type: str
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    vocab_size: int

    def __getattr__(self, name: str, /) -> Any: ...


def head_size(config: TextConfig) -> int:
    """Width of one attention head."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


@dataclass(frozen=True)
class Scales:
    """What an architecture multiplies by, caps and adds beyond a plain decoder."""

    attention: float | None = None
    """Scale of attention scores; None: one over the root of the head size."""
    attention_cap: float | None = None
    final_cap: float | None = None
    embedding: float = 1.0
    residual: float = 1.0
    logit: float = 1.0
    norm_offset: float = 0.0
    """Added to the weights of norms: Gemma multiplies by 1 + weight."""


def plain_scales(config: TextConfig) -> Scales:
    """No scale but that of the head size."""
    return Scales()


def no_metadata(config: TextConfig, rope: ConfigValues) -> dict[str, GgufValue]:
    """No metadata but what every architecture has."""
    return {}


@dataclass(frozen=True)
class Gguf:
    """How a GGUF file holds an architecture. Only those whose answers a test compares with transformers have one."""

    name: str
    """llama.cpp's name of the architecture."""
    interleaved: bool = False
    """Rows of queries and keys are turned as neighbouring pairs, not as halves."""
    norm_offset: float = 0.0
    """Added to the weights of norms, which llama.cpp takes as they are."""
    slides: bool = False
    """llama.cpp slides the attention window itself."""
    metadata: Callable[[TextConfig, ConfigValues], dict[str, GgufValue]] = no_metadata
    """(config, its RoPE settings) -> further keys, without the `name.` prefix."""


@dataclass(frozen=True)
class Architecture:
    """The facts of one architecture. Whatever its own config and tokenizer say is not repeated here."""

    name: str
    """`model_type` of its configs."""
    family: str
    """The name a person knows it by."""
    defaults: ConfigValues = field(default_factory=dict)
    """What its transformers config class takes where a config leaves a value out."""
    aliases: tuple[str, ...] = ()
    """`model_type` of configs that hold one of these as their text part."""
    norms: int = 2
    """Norms of the hidden size in a layer."""
    query_key_norms: Literal["", "head", "all"] = ""
    """Norms of queries and keys: of each head, over all heads together, or none."""
    qkv_bias: bool = False
    """Queries, keys and values have a bias whatever the config says."""
    fused: bool = False
    """One matrix for queries, keys and values, one for gate and up projection."""
    built: bool = False
    """Its weights are counted on a model built without memory, not from sizes: its layers differ."""
    mixture: bool = False
    """Layers have experts."""
    learning_rate: float = 2e-4
    """LoRA's usual rate (QLoRA, Dettmers et al. 2023, table 9)."""
    learning_rate_compact: float = 6e-4
    """The same for models below `COMPACT_MODEL` parameters, found on SmolLM2-135M-Instruct (bench/results/calibration.json)."""
    learning_rate_large: float = 1e-4
    """The same for models of `LARGE_MODEL` parameters and more."""
    overflows_fp16: bool = False
    """Its activations overflow fp16: bf16 or fp32 only."""
    notes: tuple[str, ...] = ()
    """What a person should know before training one."""
    scales: Callable[[TextConfig], Scales] | None = plain_scales
    """What it computes, for the exporters' own decoder; None: that decoder does not compute it."""
    gguf: Gguf | None = None
    """How a GGUF file holds it; None: no GGUF is written of it."""
    tensorrt_llm: tuple[str, ...] = ()
    """Names of its model classes that TensorRT-LLM 1.2 takes."""

    def rate(self, parameters: int) -> float:
        """The learning rate to begin with, for a model of this many parameters."""
        if parameters < COMPACT_MODEL:
            return self.learning_rate_compact
        return self.learning_rate if parameters < LARGE_MODEL else self.learning_rate_large
