"""LFM 2 and 2.5: gated short convolutions, and attention in a third of the layers."""

from studio.models.architectures.base import Architecture

ARCHITECTURE = Architecture(
    name="lfm2",
    family="lfm",
    built=True,
    query_key_norms="head",
    notes=("Its convolutions run along a row: rows are padded, not laid end to end.",),
    scales=None,
)
