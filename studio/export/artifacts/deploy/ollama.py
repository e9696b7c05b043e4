"""Ollama: the GGUF file by the Modelfile beside it, whose template and stop words are those trained."""

from __future__ import annotations

from studio.export.artifacts.deploy.runtime import GPU, Facts, Runtime, Setting, healthcheck

VERSION = "0.20.6"
IMAGE = f"ollama/ollama:{VERSION}"


def plan(facts: Facts) -> Runtime | None:
    """Ollama for this export; None without a Modelfile, or with one that needs another model first."""
    there = facts.folder / "Modelfile"
    if not facts.gguf or not there.exists() or f"FROM ./{facts.gguf}" not in there.read_text("utf-8"):
        return None
    context = Setting("CONTEXT", str(facts.context), "tokens of prompt and answer")
    maker = {
        "image": IMAGE,
        "depends_on": {"model": {"condition": "service_healthy"}},
        "entrypoint": ["ollama", "create", facts.name, "-f", "/model/Modelfile"],
        "environment": {"OLLAMA_HOST": "model:11434"},
        "volumes": ["../..:/model:ro"],
        "restart": "on-failure:3",
    }
    return Runtime(
        folder="ollama",
        title=f"Ollama {VERSION}",
        service={
            "image": IMAGE,
            "environment": {"OLLAMA_CONTEXT_LENGTH": context.reference},
            "volumes": ["models:/root/.ollama"],
            "healthcheck": healthcheck(["ollama", "list"], "1m"),
        },
        settings=(context,),
        command=["ollama", "run", facts.name],
        program="Ollama from ollama.com/download",
        port=11434,
        health="/",
        protected=False,
        before=(f"ollama create {facts.name} -f ../../Modelfile",),
        gpu={"deploy": GPU},
        extra={"services": {"create": maker}, "volumes": {"models": {}}},
        notes=(
            "The service `create` registers the model once and ends.",
            "Ollama knows no API keys: leave it on 127.0.0.1, or behind a proxy that asks for one.",
        ),
    )
