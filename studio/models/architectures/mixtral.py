"""Mixtral: Mistral with experts."""

from studio.models.architectures.base import Architecture

ARCHITECTURE = Architecture(
    name="mixtral",
    family="mixture of experts",
    defaults={
        "vocab_size": 32000,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
        "num_experts": 8,
        "num_experts_per_tok": 2,
    },
    mixture=True,
    scales=None,
    tensorrt_llm=("MixtralForCausalLM",),
)
