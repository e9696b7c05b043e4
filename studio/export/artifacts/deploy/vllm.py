"""vLLM: a model folder, or an adapter by name on its base."""

from __future__ import annotations

from studio.export.artifacts.deploy.runtime import GPU, KEY, Facts, Runtime, Setting, healthcheck
from studio.export.toolchains.vllm.ranks import rank_for

VERSION = "0.32.0"
"""The release whose CPU build was run with these flags, for `merged` and for adapters."""
IMAGE = f"vllm/vllm-openai:v{VERSION}"
PARSERS = {"<tool_call>": "hermes", "[TOOL_CALLS]": "mistral", "<|python_tag|>": "llama3_json"}
"""vLLM's tool-call parser by the mark a template writes before a call."""
_ALIVE = "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=5)"


def plan(facts: Facts) -> Runtime | None:
    """vLLM for this export; None if it does not load it."""
    if facts.adapter:
        return _adapter(facts) if facts.source.by_name else None
    if facts.config and facts.artifact.kind != "tensorrt_llm":
        return _server(facts, ["/model"], ["../.."], ["../..:/model:ro"], ["--served-model-name", facts.name], [])
    return None


def _adapter(facts: Facts) -> Runtime:
    rank = rank_for(facts.source.rank)
    lora = ["--enable-lora", "--max-lora-rank", str(rank), "--max-loras", "1"]
    note = f"Requests name `{facts.name}` for the tuned model and `base` for the model it was trained on."
    held = facts.source.model.quantization
    notes = [note]
    if held in ("nf4", "int8"):
        notes.append(
            f"The adapter was trained on the base in {held}; here it lies on the 16-bit weights, which differ a little."
        )
    if facts.hub_base:
        revision = ["--revision", facts.source.base.revision] if facts.source.base.revision else []
        base, host, volumes = [facts.hub_base], [facts.hub_base], ["hub:/root/.cache/huggingface"]
        settings = [Setting("HF_TOKEN", "", "only for a base model that asks you to accept its licence")]
        flags = ["--served-model-name", "base", *revision]
    else:
        where = Setting("BASE", None, f"needed: the folder of the base model {facts.source.base_name} on this machine")
        base, host, volumes = ["/base"], [where.reference], [f"{where.reference}:/base:ro"]
        settings = [where]
        flags = ["--served-model-name", "base"]
    return _server(facts, base, host, ["../..:/adapter:ro", *volumes], [*flags, *lora], settings, notes)


def _server(
    facts: Facts,
    model: list[str],
    host_model: list[str],
    volumes: list[str],
    flags: list[str],
    settings: list[Setting],
    notes: list[str] | None = None,
) -> Runtime:
    context = Setting("CONTEXT", str(facts.context), f"tokens of prompt and answer{_limit(facts)}")
    memory = Setting(
        "GPU_MEMORY", "0.85", "share of the GPU's memory vLLM takes; less where a screen or another program uses it"
    )
    greedy = ["--override-generation-config", '{"temperature": 0}']  # as it was verified; requests may still ask otherwise
    every = [*flags, *greedy, "--max-model-len", context.reference, "--gpu-memory-utilization", memory.reference]
    mark = next((mark for mark in PARSERS if mark in facts.template), "")
    if mark:
        every += ["--enable-auto-tool-choice", "--tool-call-parser", PARSERS[mark]]
    inside, outside = [*every], [*every]
    if facts.adapter:
        inside += ["--lora-modules", f"{facts.name}=/adapter"]
        outside += ["--lora-modules", f"{facts.name}=../.."]
        if facts.template:
            inside += ["--chat-template", "/adapter/chat_template.jinja"]
            outside += ["--chat-template", "../../chat_template.jinja"]
    token = {"HF_TOKEN": settings[0].reference} if settings and settings[0].name == "HF_TOKEN" else {}
    return Runtime(
        folder="vllm",
        title=f"vLLM {VERSION}",
        service={
            "image": IMAGE,
            "entrypoint": ["vllm", "serve"],
            "command": [*model, *inside, "--host", "0.0.0.0", "--port", "8000"],
            "environment": {"VLLM_API_KEY": KEY.reference, "VLLM_NO_USAGE_STATS": "1", **token},
            "volumes": volumes,
            "shm_size": "2gb",
            "deploy": GPU,
            "healthcheck": healthcheck(["python3", "-c", _ALIVE], "10m"),
        },
        settings=(KEY, *settings, context, memory),
        command=["vllm", "serve", *host_model, *outside, "--host", "${BIND:-127.0.0.1}", "--port", "${PORT:-8000}"],
        program=f"`pip install vllm=={VERSION}` (Linux, NVIDIA GPU)",
        port=8000,
        health="/health",
        environment={"VLLM_API_KEY": KEY.reference, "VLLM_NO_USAGE_STATS": "1"},
        extra={"volumes": {"hub": {}}} if any(volume.startswith("hub:") for volume in volumes) else {},
        notes=tuple(notes or ()),
    )


def _limit(facts: Facts) -> str:
    longest = facts.source.longest
    said = f"; trained on rows of up to {longest:,}" if longest else ""
    return said + (f"; the model takes {facts.limit:,}" if facts.limit else "")
