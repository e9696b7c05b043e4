"""Granite 3: a Llama whose embeddings, residuals, attention and logits are scaled by its config."""

from studio.models.architectures.base import Architecture, ConfigValues, Gguf, GgufValue, Scales, TextConfig


def _scales(config: TextConfig) -> Scales:
    return Scales(
        attention=float(config.attention_multiplier),
        embedding=float(config.embedding_multiplier),
        residual=float(config.residual_multiplier),
        logit=1 / float(config.logits_scaling),
    )


def _metadata(config: TextConfig, rope: ConfigValues) -> dict[str, GgufValue]:
    return {
        "attention.scale": float(config.attention_multiplier),
        "embedding_scale": float(config.embedding_multiplier),
        "residual_scale": float(config.residual_multiplier),
        "logit_scale": float(config.logits_scaling),
    }


ARCHITECTURE = Architecture(
    name="granite",
    family="granite",
    defaults={"vocab_size": 32000, "max_position_embeddings": 2048},
    scales=_scales,
    gguf=Gguf("granite", interleaved=True, metadata=_metadata),
)
