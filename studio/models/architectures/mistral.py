"""Mistral 7B and its successors of the same build."""

from studio.models.architectures.base import Architecture, Gguf

ARCHITECTURE = Architecture(
    name="mistral",
    family="mistral",
    defaults={"vocab_size": 32000, "num_key_value_heads": 8, "max_position_embeddings": 131072, "sliding_window": 4096},
    notes=("Its template has no separate header: an answer begins behind [/INST].",),
    gguf=Gguf("llama", interleaved=True),
    tensorrt_llm=("MistralForCausalLM",),
)
