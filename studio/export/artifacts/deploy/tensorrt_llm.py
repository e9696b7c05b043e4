"""TensorRT-LLM: its PyTorch backend loads a model folder as it is; nothing is built beforehand."""

from __future__ import annotations

from studio.export.artifacts.deploy.runtime import GPU, Facts, Runtime, Setting, healthcheck

VERSION = "1.2.1"
OPTIONS = "trtllm.yaml"
"""The options file of the export `tensorrt_llm`."""
IMAGE = f"nvcr.io/nvidia/tensorrt-llm/release:{VERSION}"
_OPTIONS = "--extra_llm_api_options"
_ALIVE = "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=5)"


def plan(facts: Facts) -> Runtime | None:
    """TensorRT-LLM for this export; None if it does not load it. A folder is served under its own name."""
    how = facts.config.get("quantization_config", {}).get("quant_method")
    if not facts.config or facts.adapter or how == "compressed-tensors":
        return None
    context = Setting("CONTEXT", str(facts.context), "tokens of prompt and answer")
    memory = Setting("GPU_MEMORY", "0.85", "share of the GPU's free memory for the cache, after the weights")
    flags = ["--max_seq_len", context.reference, "--kv_cache_free_gpu_memory_fraction", memory.reference]
    flags += ["--max_batch_size", "16"]
    settings, inside, outside = (context, memory), flags, flags
    notes = ["trtllm-serve knows no API keys: leave it on 127.0.0.1, or behind a proxy that asks for one."]
    if (facts.folder / OPTIONS).exists():  # what is written there goes before flags
        settings, inside, outside = (), [_OPTIONS, f"/models/{facts.name}/{OPTIONS}"], [_OPTIONS, f"../../{OPTIONS}"]
        notes.append(f"Context, requests at once and the share of memory are set in `{OPTIONS}`, as they were checked.")
    return Runtime(
        folder="tensorrt-llm",
        title=f"TensorRT-LLM {VERSION}",
        service={
            "image": IMAGE,
            "command": ["trtllm-serve", f"/models/{facts.name}", *inside, "--host", "0.0.0.0", "--port", "8000"],
            "volumes": [f"../..:/models/{facts.name}:ro"],
            "ipc": "host",
            "ulimits": {"memlock": -1, "stack": 67108864},
            "deploy": GPU,
            "healthcheck": healthcheck(["python3", "-c", _ALIVE], "15m"),
        },
        settings=settings,
        command=["trtllm-serve", "$TEMP_NAME", *outside, "--host", "${BIND:-127.0.0.1}", "--port", "${PORT:-8000}"],
        program=f"`pip install tensorrt-llm=={VERSION}` (Linux, NVIDIA GPU, and what NVIDIA lists as required)",
        port=8000,
        health="/health",
        protected=False,
        before=(
            "# requests name the model by its folder's name: give it one",
            f'TEMP_NAME="$(mktemp -d)/{facts.name}"',
            'ln -s "$(cd ../.. && pwd)" "$TEMP_NAME"',
        ),
        notes=tuple(notes),
    )
