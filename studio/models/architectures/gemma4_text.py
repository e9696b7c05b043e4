"""Gemma 4, its text part: full attention with heads of another size, embeddings that each layer has for itself, or experts."""

from studio.models.architectures.base import Architecture
from studio.models.architectures.gemma import OVERFLOWS

ARCHITECTURE = Architecture(
    name="gemma4_text",
    family="gemma",
    aliases=("gemma4", "gemma4_unified", "gemma4_unified_text"),
    built=True,
    query_key_norms="head",
    overflows_fp16=True,
    notes=(OVERFLOWS, "Of Gemma 4 only the text part is loaded, trained and exported."),
    scales=None,
)
