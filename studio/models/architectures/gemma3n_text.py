"""Gemma 3n, its text part: four streams of hidden states (AltUp), and embeddings that each layer has for itself."""

from studio.models.architectures.base import Architecture
from studio.models.architectures.gemma import OVERFLOWS

ARCHITECTURE = Architecture(
    name="gemma3n_text",
    family="gemma",
    aliases=("gemma3n",),
    built=True,
    query_key_norms="head",
    overflows_fp16=True,
    notes=(OVERFLOWS, "Of Gemma 3n only the text part is loaded, trained and exported."),
    scales=None,
)
