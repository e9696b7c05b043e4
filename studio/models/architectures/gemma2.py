"""Gemma 2: four norms a layer, capped attention scores and logits, every second layer with a sliding window."""

from studio.core.errors import ExportError
from studio.models.architectures.base import Architecture, ConfigValues, Gguf, GgufValue, Scales, TextConfig, head_size
from studio.models.architectures.gemma import NO_SYSTEM_ROLE, OVERFLOWS

LAYERS_OF_27B = 46
"""llama.cpp takes the width, not the head size, for the attention scale of the model with this many layers."""


def scales(config: TextConfig) -> Scales:
    """Gemma's scales; of the two families only Gemma 2 caps its attention scores."""
    return Scales(
        attention=float(config.query_pre_attn_scalar) ** -0.5,
        attention_cap=config.attn_logit_softcapping if config.model_type == "gemma2" else None,
        final_cap=config.final_logit_softcapping,
        embedding=float(config.hidden_size) ** 0.5,
        norm_offset=1.0,
    )


def check_attention_scale(config: TextConfig, large: int) -> None:
    """llama.cpp derives Gemma's attention scale from the head size, or from the width in the model of `large` layers.

    Raises ExportError for a config that says otherwise.
    """
    scale = config.hidden_size // config.num_attention_heads if config.num_hidden_layers == large else head_size(config)
    if config.query_pre_attn_scalar != scale:
        raise ExportError(
            f"query_pre_attn_scalar is {config.query_pre_attn_scalar}; llama.cpp computes with {scale}",
            hint="Export `merged` for a server (vLLM): llama.cpp computes it otherwise.",
        )


def _metadata(config: TextConfig, rope: ConfigValues) -> dict[str, GgufValue]:
    check_attention_scale(config, LAYERS_OF_27B)
    return {
        "attention.sliding_window": config.sliding_window,
        "attn_logit_softcapping": float(config.attn_logit_softcapping),
        "final_logit_softcapping": float(config.final_logit_softcapping),
    }


ARCHITECTURE = Architecture(
    name="gemma2",
    family="gemma",
    defaults={
        "vocab_size": 256000,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
        "sliding_window": 4096,
        "num_attention_heads": 8,
    },
    norms=4,
    overflows_fp16=True,
    notes=(
        "Gemma 2 caps its attention scores, which sdpa cannot: it is computed by eager attention.",
        OVERFLOWS,
        NO_SYSTEM_ROLE,
    ),
    scales=scales,
    gguf=Gguf("gemma2", norm_offset=1.0, slides=True, metadata=_metadata),
)
