"""Qwen 2 and 2.5."""

from studio.models.architectures.base import Architecture, Gguf

ARCHITECTURE = Architecture(
    name="qwen2",
    family="qwen",
    defaults={"vocab_size": 151936, "max_position_embeddings": 32768},
    qkv_bias=True,
    notes=("Base models end a text with <|endoftext|>, chats with <|im_end|>; both stop generation here.",),
    gguf=Gguf("qwen2"),
    tensorrt_llm=("Qwen2ForCausalLM",),
)
