"""Exports as they lie on disk, without the time to make one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.core.files import write_json, write_text
from studio.export.artifacts import manifest as artifacts
from studio.export.artifacts.manifest import Artifact
from studio.export.verification.result import Check, Sample, Verification, from_checks, structural
from studio.models.dims import model_dims

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
ROW = "the customer's own secret question"
FILES: dict[str, dict[str, Any]] = {
    "merged": {"config.json": {"model_type": "llama"}, "model-00001-of-00002.safetensors": "a" * 900,
               "model-00002-of-00002.safetensors": "b" * 700, "chat_template.jinja": CHATML},
    "adapter": {"adapter_config.json": {"r": 12}, "adapter_model.safetensors": "c" * 500, "chat_template.jinja": CHATML},
    "gguf": {"bot-q8_0.gguf": "d" * 400, "Modelfile": "FROM ./bot-q8_0.gguf\n"},
    "gguf_adapter": {"bot-adapter.gguf": "f" * 90, "Modelfile": "FROM ./base.gguf\nADAPTER ./bot-adapter.gguf\n",
                     "chat_template.jinja": CHATML},
    "onnx": {"model.onnx": "e" * 300, "genai_config.json": {}},
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {"gguf": {"quant": "q8_0"}}


def verified() -> Verification:
    """A verification that passed, with a row of the data beside its answers."""
    return from_checks("peft", [Check("kl_mean", 1e-5, 1e-3, True, "near")], [Sample(ROW, "yes", "yes", True, True, True)])


def unrun() -> Verification:
    """A verification of what only another device can run."""
    return structural("a phone", [Check("states", True, True, True, "has them")], "it needs a phone")


def make(
    exports: Path, kind: str = "merged", found: Verification | None = None, files: dict[str, Any] | None = None
) -> Artifact:
    """An export of `kind` below `exports`, described and whole."""
    folder = exports / (f"{kind}-q8_0" if kind == "gguf" else kind)
    for name, content in {**FILES[kind], **(files or {})}.items():
        write_json(folder / name, content) if isinstance(content, dict) else write_text(folder / name, content)
    write_text(folder / "README.md", "---\nlicense: mit\n---\n# Bot\n")
    made = Artifact(
        kind=kind,
        folder=folder.name,
        settings={"kind": kind, **SETTINGS.get(kind, {})},
        key="key",
        sources={},
        details={},
        files=artifacts.files_in(folder),
        versions={},
        verification=found or verified(),
        serve=["run it"],
        made_at="2026-01-01T00:00:00+00:00",
        path=folder,
    )
    artifacts.write(made, folder)
    return made


LARGE = model_dims(
    {"model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "vocab_size": 128_256,
     "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": True}
)  # fmt: skip
"""The dimensions of a model of 1.2 billion weights, a fifth of them its tied embedding."""
