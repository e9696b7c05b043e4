"""Phi 3, 3.5 and 4: queries, keys and values in one matrix, gate and up projection in another."""

from studio.models.architectures.base import Architecture, ConfigValues, Gguf, GgufValue, TextConfig


def _metadata(config: TextConfig, rope: ConfigValues) -> dict[str, GgufValue]:
    return {"attention.sliding_window": config.sliding_window or 0}


ARCHITECTURE = Architecture(
    name="phi3",
    family="phi",
    defaults={"vocab_size": 32064, "max_position_embeddings": 4096},
    fused=True,
    notes=("Queries, keys and values are one matrix, and so are gate and up projection.",),
    gguf=Gguf("phi3", slides=True, metadata=_metadata),
    tensorrt_llm=("Phi3ForCausalLM",),
)
