"""What a model computes, as numbers: read from its transformers config, without its code and without torch.

Only architectures whose logits a test compares with transformers are listed; any other is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from studio.core.errors import ExportError
from studio.export.configs import model_type, text_config
from studio.models import architectures
from studio.models.architectures.base import TextConfig

HINT = "Export `merged` for a server (vLLM), or `gguf`, whose own list of architectures differs."
FULL, SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True)
class Kind:
    """One kind of attention layer. window: how many last tokens it sees (None: all); rope: its `rope_parameters`."""

    window: int | None
    rope: Mapping[str, Any]


@dataclass(frozen=True)
class Architecture:
    """The numbers of a decoder. Scales are 1 and caps None where an architecture has none."""

    name: str
    vocabulary: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    eps: float
    activation: str
    kinds: Mapping[str, Kind]
    layers: tuple[str, ...]
    """Each layer's kind."""
    reach: int
    """Tokens up to which positions are computed as transformers computes them."""
    attention_scale: float
    attention_cap: float | None = None
    final_cap: float | None = None
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    logit_scale: float = 1.0
    norm_offset: float = 0.0
    """Added to the weights of norms: Gemma multiplies by 1 + weight."""
    tied: bool = False
    config: Any = field(default=None, compare=False, repr=False)


def known() -> list[str]:
    """The `model_type`s this decoder computes."""
    return sorted(item.name for item in architectures.ARCHITECTURES.values() if item.scales)


def refuse_unless_known(config: Mapping[str, Any]) -> None:
    """Raise ExportError for a `config.json` whose architecture this decoder does not compute."""
    _refuse(model_type(config), bool(text_config(config).get("use_bidirectional_attention")))


def _refuse(name: str, looks_ahead: bool) -> None:
    if architectures.architecture(name).scales is None:
        raise ExportError(
            f"the architecture `{name}` is not among those this format is made for: {', '.join(known())}", hint=HINT
        )
    if looks_ahead:
        raise ExportError("its attention looks ahead, which a decoder with a cache cannot", hint=HINT)


def architecture(config: TextConfig) -> Architecture:
    """The numbers of a transformers text config. Raises ExportError for one that is not known."""
    _refuse(config.model_type, bool(getattr(config, "use_bidirectional_attention", False)))
    facts = architectures.architecture(config.model_type)
    assert facts.scales
    scales = facts.scales(config)
    heads, head_size = config.num_attention_heads, architectures.head_size(config)
    kinds, layers = _layers(config)
    return Architecture(
        name=config.model_type,
        vocabulary=config.vocab_size,
        hidden=config.hidden_size,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_size=head_size,
        eps=float(config.rms_norm_eps),
        activation=getattr(config, "hidden_activation", None) or config.hidden_act,
        kinds=kinds,
        layers=layers,
        reach=min(_reach(config, kind.rope) for kind in kinds.values()),
        attention_scale=scales.attention or head_size**-0.5,
        attention_cap=scales.attention_cap,
        final_cap=scales.final_cap,
        embedding_scale=scales.embedding,
        residual_scale=scales.residual,
        logit_scale=scales.logit,
        norm_offset=scales.norm_offset,
        tied=bool(config.tie_word_embeddings),
        config=config,
    )


def _layers(config: TextConfig) -> tuple[dict[str, Kind], tuple[str, ...]]:
    """The kinds of layers that occur, and each layer's. Without `layer_types`, all slide if there is a window."""
    window = getattr(config, "sliding_window", None)
    everywhere = SLIDING if window else FULL
    layers = tuple(getattr(config, "layer_types", None) or [everywhere] * config.num_hidden_layers)
    rope = dict(config.rope_parameters)
    kinds = {
        name: Kind(window if name == SLIDING else None, dict(rope[name]) if name in rope else rope)
        for name in sorted(set(layers))
    }
    strange = set(kinds) - {FULL, SLIDING}
    if strange:
        raise ExportError(f"layers of the kind `{strange.pop()}` are not computed here", hint=HINT)
    return kinds, layers


def _reach(config: TextConfig, rope: Mapping[str, Any]) -> int:
    """longrope and dynamic RoPE take other frequencies for longer texts: the decoder keeps to those of shorter ones."""
    longest = int(config.max_position_embeddings)
    trained = rope.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", None)
    return min(longest, int(trained)) if rope.get("rope_type") in ("longrope", "dynamic") and trained else longest
