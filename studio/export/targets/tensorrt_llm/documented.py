"""What TensorRT-LLM 1.2 takes, as recorded from its documentation: architectures, options, names of LoRA modules.

https://nvidia.github.io/TensorRT-LLM/models/supported-models.html
https://nvidia.github.io/TensorRT-LLM/llm-api/reference/TorchLlmArgs.html (an option that is not known is refused there too)
https://nvidia.github.io/TensorRT-LLM/features/lora.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from studio.models import architectures as facts

ARCHITECTURES = frozenset({"GptOssForCausalLM", *(name for item in facts.ARCHITECTURES.values() for name in item.tensorrt_llm)})
"""Language models of the PyTorch backend of a size the studio trains."""
DTYPES = ("bfloat16", "float16")
"""Number formats its kernels compute unquantised weights in."""
LORA: Mapping[str, str] = {
    "q_proj": "attn_q",
    "k_proj": "attn_k",
    "v_proj": "attn_v",
    "qkv_proj": "attn_qkv",
    "o_proj": "attn_dense",
    "gate_proj": "mlp_h_to_4h",
    "up_proj": "mlp_gate",
    "gate_up_proj": "mlp_gate_up",
    "down_proj": "mlp_4h_to_h",
}
"""Its name for each layer a LoRA adapter is trained on."""
OPTIONS: Mapping[str, Any] = {
    "max_seq_len": int,
    "max_batch_size": int,
    "max_num_tokens": int,
    "dtype": str,
    "tensor_parallel_size": int,
    "enable_chunked_prefill": bool,
    "guided_decoding_backend": ("xgrammar", "llguidance"),
    "kv_cache_config": {
        "enable_block_reuse": bool,
        "free_gpu_memory_fraction": float,
        "max_tokens": int,
        "dtype": str,
    },
    "lora_config": {
        "lora_dir": list,
        "lora_ckpt_source": ("hf", "nemo"),
        "max_lora_rank": int,
        "max_loras": int,
        "max_cpu_loras": int,
        "lora_target_modules": list,
    },
}
"""Options of `trtllm-serve --extra_llm_api_options FILE` that are stable: a type, the values there are, or further options."""


def faults(options: Mapping[str, Any], known: Mapping[str, Any] = OPTIONS, prefix: str = "") -> Iterator[str]:
    """What is wrong with options: names it does not know, values of another type."""
    for name, value in options.items():
        rule = known.get(name)
        if rule is None:
            yield f"{prefix}{name} is not an option"
        elif isinstance(rule, Mapping):
            yield from faults(value, rule, f"{prefix}{name}.")
        elif isinstance(rule, tuple):
            if value not in rule:
                yield f"{prefix}{name} is {value!r}, not one of {', '.join(rule)}"
        elif type(value) is not rule:
            yield f"{prefix}{name} is {value!r}, not {rule.__name__}"
