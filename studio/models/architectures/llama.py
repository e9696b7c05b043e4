"""Llama 2, 3 and what is built like them (SmolLM2, TinyLlama, the starter)."""

from studio.models.architectures.base import Architecture, Gguf

ARCHITECTURE = Architecture(
    name="llama",
    family="llama",
    defaults={"vocab_size": 32000, "max_position_embeddings": 2048},
    notes=("Llama 3.1 and later write the date into the system message.",),
    gguf=Gguf("llama", interleaved=True),
    tensorrt_llm=("LlamaForCausalLM",),
)
