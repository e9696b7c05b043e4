"""Ollama: the GGUF file by the Modelfile beside it, whose template and stop words are those trained."""

from __future__ import annotations

from studio.export.artifacts.deploy.runtime import GPU, Facts, Runtime, Setting, healthcheck
from studio.export.llamacpp.modelfile import has_template

OWN_TEMPLATE = (
    "The trained template depends on more than the order of roles, so Ollama writes prompts by one of its own that looks "
    "alike: they are not those that were verified. llama.cpp takes the trained template from the file."
)
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
        command=["ollama", "serve"],
        program="Ollama from ollama.com/download",
        port=11434,
        health="/",
        protected=False,
        before=(
            "# the model is registered once the server answers",
            f"(until ollama list >/dev/null 2>&1; do sleep 1; done; ollama create {facts.name} -f ../../Modelfile) &",
        ),
        environment={
            "OLLAMA_HOST": "${BIND:-127.0.0.1}:${PORT:-11434}",
            "OLLAMA_CONTEXT_LENGTH": context.reference,
        },
        gpu={"deploy": GPU},
        extra={"services": {"create": maker}, "volumes": {"models": {}}},
        notes=(
            "The service `create` registers the model once and ends.",
            "Ollama knows no API keys: leave it on 127.0.0.1, or behind a proxy that asks for one.",
            *(() if has_template(there.read_text("utf-8")) else (OWN_TEMPLATE,)),
        ),
    )
