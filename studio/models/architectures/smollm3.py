"""SmolLM3: a Llama without rotary positions in every fourth layer."""

from studio.models.architectures.base import Architecture

ARCHITECTURE = Architecture(
    name="smollm3",
    family="smollm",
    defaults={
        "vocab_size": 128256,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True,
    },
    notes=(
        "SmolLM3 writes the date and the reasoning mode into the system message; `/no_think` in the system prompt turns the "
        "thinking block off.",
    ),
    scales=None,
)
