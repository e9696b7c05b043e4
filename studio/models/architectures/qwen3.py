"""Qwen 3, dense."""

from studio.models.architectures.base import Architecture, Gguf

ARCHITECTURE = Architecture(
    name="qwen3",
    family="qwen",
    defaults={"vocab_size": 151936, "max_position_embeddings": 32768, "head_dim": 128},
    query_key_norms="head",
    notes=(
        "Qwen3 writes an empty thinking block before an answer without one; it is trained as the template renders it.",
        "Base models end a text with <|endoftext|>, chats with <|im_end|>; both stop generation here.",
    ),
    gguf=Gguf("qwen3"),
    tensorrt_llm=("Qwen3ForCausalLM",),
)
