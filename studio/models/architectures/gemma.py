"""Gemma 1."""

from studio.models.architectures.base import Architecture

OVERFLOWS = "Its activations overflow fp16: bf16 or fp32 only."
NO_SYSTEM_ROLE = "Gemma 1 and 2 have no system role: put such instructions into the first user message."

ARCHITECTURE = Architecture(
    name="gemma",
    family="gemma",
    defaults={
        "vocab_size": 256000,
        "num_key_value_heads": 16,
        "head_dim": 256,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    },
    overflows_fp16=True,
    notes=(OVERFLOWS, NO_SYSTEM_ROLE),
    scales=None,
)
