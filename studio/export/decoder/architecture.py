"""What an architecture computes, as numbers: read from a transformers config, without its code and without torch.

Only architectures whose logits a test compares with transformers are listed; any other is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from studio.core.errors import ExportError

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
    return sorted(_ARCHITECTURES)


def refuse_unless_known(config: Any) -> None:
    """Raise ExportError for a text config whose architecture this decoder does not compute."""
    if config.model_type not in _ARCHITECTURES:
        raise ExportError(
            f"the architecture `{config.model_type}` is not among those this format is made for: {', '.join(known())}",
            hint=HINT,
        )
    if getattr(config, "use_bidirectional_attention", False):
        raise ExportError("its attention looks ahead, which a decoder with a cache cannot", hint=HINT)


def architecture(config: Any) -> Architecture:
    """The numbers of a transformers text config. Raises ExportError for one that is not known."""
    refuse_unless_known(config)
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    kinds, layers = _layers(config)
    plain = Architecture(
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
        attention_scale=head_size**-0.5,
        tied=bool(config.tie_word_embeddings),
        config=config,
    )
    return replace(plain, **_ARCHITECTURES[config.model_type](config))


def _layers(config: Any) -> tuple[dict[str, Kind], tuple[str, ...]]:
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


def _reach(config: Any, rope: Mapping[str, Any]) -> int:
    """longrope and dynamic RoPE take other frequencies for longer texts: the decoder keeps to those of shorter ones."""
    longest = int(config.max_position_embeddings)
    trained = rope.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", None)
    return min(longest, int(trained)) if rope.get("rope_type") in ("longrope", "dynamic") and trained else longest


def _gemma(config: Any) -> dict[str, Any]:
    return {
        "attention_scale": float(config.query_pre_attn_scalar) ** -0.5,
        "attention_cap": config.attn_logit_softcapping if config.model_type == "gemma2" else None,
        "final_cap": config.final_logit_softcapping,
        "embedding_scale": float(config.hidden_size) ** 0.5,
        "norm_offset": 1.0,
    }


def _granite(config: Any) -> dict[str, Any]:
    return {
        "attention_scale": float(config.attention_multiplier),
        "embedding_scale": float(config.embedding_multiplier),
        "residual_scale": float(config.residual_multiplier),
        "logit_scale": 1 / float(config.logits_scaling),
    }


def _plain(config: Any) -> dict[str, Any]:
    return {}


_ARCHITECTURES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "llama": _plain,
    "mistral": _plain,
    "qwen2": _plain,
    "qwen3": _plain,
    "gemma2": _gemma,
    "gemma3_text": _gemma,
    "phi3": _plain,
    "granite": _granite,
}
