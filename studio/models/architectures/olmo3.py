"""OLMo 3: norms behind attention and feed-forward, norms over all queries and keys, three of four layers with a window."""

from studio.models.architectures.base import Architecture

ARCHITECTURE = Architecture(
    name="olmo3",
    family="olmo",
    defaults={"vocab_size": 50304, "max_position_embeddings": 2048, "sliding_window": 4096},
    query_key_norms="all",
    scales=None,
)
