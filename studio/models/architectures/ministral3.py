"""Ministral 3: a Mistral that scales its queries with their position."""

from studio.models.architectures.base import Architecture

ARCHITECTURE = Architecture(
    name="ministral3",
    family="mistral",
    defaults={"vocab_size": 131072, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 262144},
    notes=("The instruction-tuned checkpoints are in fp8; the folders whose names end with BF16 can be trained.",),
    scales=None,
)
