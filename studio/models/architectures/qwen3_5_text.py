"""Qwen 3.5, its text part: of four layers three are linear attention (Gated DeltaNet), one is full attention with a gate."""

from studio.models.architectures.base import Architecture

ARCHITECTURE = Architecture(
    name="qwen3_5_text",
    family="qwen",
    aliases=("qwen3_5",),
    built=True,
    query_key_norms="head",
    notes=(
        "Of Qwen 3.5 only the text part is loaded, trained and exported.",
        "Three of four layers are linear attention in plain torch: slower than attention, and four times its memory.",
        "It thinks before it answers; an empty thinking block stands before an answer without one.",
    ),
    scales=None,
)
