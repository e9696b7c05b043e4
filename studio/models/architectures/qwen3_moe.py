"""Qwen 3 with experts."""

from studio.models.architectures.base import Architecture

ARCHITECTURE = Architecture(
    name="qwen3_moe",
    family="qwen",
    defaults={
        "vocab_size": 151936,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "moe_intermediate_size": 768,
    },
    query_key_norms="head",
    mixture=True,
    notes=("Qwen3 writes an empty thinking block before an answer without one; it is trained as the template renders it.",),
    scales=None,
    tensorrt_llm=("Qwen3MoeForCausalLM",),
)
