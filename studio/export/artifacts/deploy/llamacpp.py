"""llama.cpp: `llama-server` with a GGUF file, on any machine."""

from __future__ import annotations

from studio.export.artifacts.deploy.runtime import GPU, KEY, Facts, Runtime, Setting, healthcheck

BUILD = "b9246"
IMAGE = f"ghcr.io/ggml-org/llama.cpp:server-{BUILD}"
GPU_IMAGE = f"ghcr.io/ggml-org/llama.cpp:server-cuda-{BUILD}"


def plan(facts: Facts) -> Runtime | None:
    """llama-server for this export; None without a GGUF file."""
    if not facts.gguf:
        return None
    context = Setting("CONTEXT", str(facts.context), "tokens of prompt and answer, shared by requests at the same time")
    flags = ["--alias", facts.name, "--ctx-size", context.reference, "--jinja", "--temp", "0"]
    settings, volumes = [KEY, context], ["../..:/model:ro"]
    inside, outside = ["--model", f"/model/{facts.gguf}"], ["--model", f"../../{facts.gguf}"]
    notes: tuple[str, ...] = ()
    if facts.artifact.kind == "gguf_adapter":
        base = Setting("BASE", None, f"needed: the GGUF file of the base model {facts.source.base_name} on this machine")
        settings.insert(1, base)
        volumes.append(f"{base.reference}:/base.gguf:ro")
        inside = ["--model", "/base.gguf", "--lora", f"/model/{facts.gguf}"]
        outside = ["--model", base.reference, "--lora", f"../../{facts.gguf}"]
        notes = ("The base must be the very model that was trained on, as a GGUF file; f16 is nearest.",)
        if facts.template:
            inside += ["--chat-template-file", "/model/chat_template.jinja"]
            outside += ["--chat-template-file", "../../chat_template.jinja"]
    return Runtime(
        folder="llama.cpp",
        title=f"llama.cpp ({BUILD})",
        service={
            "image": IMAGE,
            "command": [*flags, *inside, "--host", "0.0.0.0", "--port", "8080"],
            "environment": {"LLAMA_API_KEY": KEY.reference},
            "volumes": volumes,
            "healthcheck": healthcheck(["curl", "-fsS", "http://127.0.0.1:8080/health"], "5m"),
        },
        settings=tuple(settings),
        command=["llama-server", *flags, *outside, "--host", "${BIND:-127.0.0.1}", "--port", "${PORT:-8080}"],
        program="`brew install llama.cpp`, `winget install llama.cpp` or a release of github.com/ggml-org/llama.cpp",
        port=8080,
        health="/health",
        environment={"LLAMA_API_KEY": KEY.reference},
        gpu={"image": GPU_IMAGE, "deploy": GPU},
        notes=notes,
    )
