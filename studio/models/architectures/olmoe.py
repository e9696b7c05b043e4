"""OLMoE: small experts, and norms over all heads of queries and keys."""

from studio.models.architectures.base import Architecture

ARCHITECTURE = Architecture(
    name="olmoe",
    family="mixture of experts",
    defaults={"vocab_size": 50304, "max_position_embeddings": 4096, "num_experts": 64, "num_experts_per_tok": 8},
    query_key_norms="all",
    mixture=True,
    scales=None,
)
