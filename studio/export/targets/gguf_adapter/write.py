"""The adapter as a GGUF file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.core.files import write_text
from studio.core.text import slug
from studio.export.llamacpp import modelfile
from studio.export.llamacpp.files import gguf_in
from studio.export.merging.source import Source, source_tokenizer
from studio.export.prompts import adds_bos, portable_template
from studio.export.targets.gguf_adapter import lora

BASE = "BASE.gguf"
"""How commands and Modelfile call the base model's GGUF file, which whoever serves it has."""


def write(source: Source, out: Path) -> dict[str, Any]:
    """Write `<name>-adapter.gguf`, `chat_template.jinja` and `Modelfile` into `out`. Returns details for the manifest.

    Raises ExportError for an adapter that is not plain LoRA.
    """
    from studio.models.generation import stop_ids

    file = out / f"{slug(source.name)}-adapter.gguf"
    changed = lora.write(source.adapter, source.base_config, file, slug(source.name))
    file.chmod(0o644)
    tokenizer = source_tokenizer(source)
    stops = stop_ids(tokenizer)
    template = portable_template(tokenizer)
    if template:
        write_text(out / "chat_template.jinja", template)
    text = modelfile.write(BASE, tokenizer, stops, adds_bos(tokenizer), source.system, file.name)
    write_text(out / "Modelfile", text)
    trained_on = f", which it was trained on quantized to {source.model.quantization}" if source.quantized else ""
    return {
        "statement": f"To be loaded on a GGUF file of {source.base_name}{trained_on}.",
        "rank": source.rank,
        "weights_changed": changed,
        "stops_at": [tokenizer.decode([token]) for token in stops],
        "ollama_template": modelfile.has_template(text),
    }


def serve(source: Source, folder: Path) -> list[str]:
    """Commands that serve the adapter in `folder` on a base file, greedily, as it was verified."""
    name = slug(source.name)
    template = folder / "chat_template.jinja"
    own = f" --jinja --chat-template-file {template}" if template.exists() else ""
    return [
        f"llama-server -m {BASE} --lora {gguf_in(folder)}{own} --temp 0",
        f"ollama create {name} -f {folder / 'Modelfile'} && ollama run {name}",
    ]
