"""Making a LiteRT export: what it takes, its files, and how they are served."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from studio.core.text import size, slug
from studio.export.merging import merge
from studio.export.merging.merged_folder import WORK, merged_export, merged_folder
from studio.export.merging.source import Onto, Source
from studio.export.prompts import stop_token_ids
from studio.export.resources import RUNTIME, Need
from studio.export.targets.litert.template import portable
from studio.export.toolchains import call
from studio.export.verification.context import context
from studio.export.verification.reference import source_tokenizer
from studio.models import chat
from studio.tracking.reporter import Reporter

Quant = Literal["int8", "fp32"]
BYTES: dict[Quant, float] = {"int8": 1.03, "fp32": 4.0}
"""Bytes a weight takes, scales included."""
COPIES = 5
"""Float32 copies of the weights in memory at the peak of a conversion: torch's, the graph's constants and the file's."""


def estimate(source: Source, quant: Quant, onto: Onto) -> Need:
    """Disk: both files, the float32 ones they are made from, and a merged model unless there is one. Memory: converting."""
    merged = 0 if merged_export(source, onto) else merge.merged_bytes(source, None)
    files = int(source.parameters * (2 * BYTES[quant] + 4))
    return Need(disk=files + merged + (64 << 20), memory=source.parameters * 4 * COPIES + RUNTIME)


def write_files(source: Source, quant: Quant, onto: Onto, asked: int | None, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write `<name>-<quant>.tflite` and `.litertlm` into `out`. Returns details for the manifest.

    Raises ExportError if the exporter is not installed or cannot convert the model.
    """
    room = context(source, asked)
    folder = merged_folder(source, onto, out, reporter)
    tokenizer = source_tokenizer(source)
    work = out / WORK / "litert"
    work.mkdir(parents=True)
    names = {kind: out / f"{slug(source.name)}-{quant}.{kind}" for kind in ("tflite", "litertlm")}
    template = portable(chat.chat_template(tokenizer), tokenizer.special_tokens_map) if tokenizer.chat_template else None
    request = {"merged": folder, "work": work, **names, "quant": quant, "context": room.tokens, "template": template}
    request |= {"begin": begin(tokenizer), "ends": stop_token_ids(folder)}
    made = call("litert", "studio.export.targets.litert.convert:convert", request, reporter)
    for file in names.values():
        file.chmod(0o644)
    return {
        "onto": onto,
        "statement": merge.statement(source, onto, merge.saved_dtype(source, None)).replace("saved as", "converted from"),
        "quant": quant,
        "context": room.tokens,
        "context_because": room.why,
        "cache": size(cache_bytes(source, room.tokens)),
        "stops_at": [tokenizer.decode([token]) for token in stop_token_ids(folder)],
        **made,
    }


def begin(tokenizer: Any) -> int | None:
    """The id LiteRT-LM puts before a text. None with a template: where training has one, the template writes it."""
    first = tokenizer("a").input_ids[:1]
    return tokenizer.bos_token_id if not tokenizer.chat_template and first == [tokenizer.bos_token_id] else None


def cache_bytes(source: Source, tokens: int) -> int:
    """Memory of keys and values for so many tokens, in float32."""
    config = source.base_config
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return tokens * config.num_hidden_layers * (config.num_key_value_heads or config.num_attention_heads) * head * 2 * 4


def only(folder: Path, kind: str) -> Path:
    """The export's file of this kind, `tflite` or `litertlm`."""
    return next(folder.glob(f"*.{kind}"))


def serve(source: Source, folder: Path) -> list[str]:
    """Commands that serve the file in `folder`; LiteRT-LM's own command is in its wheel."""
    name, file = slug(source.name), only(folder, "litertlm")
    return [
        f"pip install litert-lm && litert-lm run {file}",
        f"litert-lm import {file} {name} && litert-lm serve",
    ]
