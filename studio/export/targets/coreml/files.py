"""Making a Core ML export: what it takes, its files, and how they are used."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from studio.core.text import size, slug
from studio.export.decoder.architecture import architecture, refuse_unless_known
from studio.export.merging import merge
from studio.export.merging.merged_folder import merged_export, merged_folder
from studio.export.merging.source import Onto, Source
from studio.export.resources import RUNTIME, Need
from studio.export.toolchains import call
from studio.export.verification.context import Context, context
from studio.tracking.reporter import Reporter

Quant = Literal["int4", "fp16"]
BYTES: dict[Quant, float] = {"int4": 0.65, "fp16": 2.0}
"""Bytes a weight takes: int4 has a 16-bit scale every 32 weights, and embeddings in 8 bit."""
BESIDE = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json", "generation_config.json")
"""What Apple's chat libraries read beside the package."""


def estimate(source: Source, quant: Quant, onto: Onto) -> Need:
    """Disk: the package, one in 16 bit it is made from, and a merged model unless there is one. Memory: converting."""
    merged = 0 if merged_export(source, onto) else merge.merged_bytes(source, None)
    files = int(source.parameters * (BYTES[quant] + 2))
    return Need(disk=files + merged + (32 << 20), memory=source.parameters * 4 * 3 + RUNTIME)


def room(source: Source, asked: int | None) -> Context:
    """The context the package is made for."""
    return context(source, asked, architecture(source.base_config).reach)


def write_files(source: Source, quant: Quant, onto: Onto, asked: int | None, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write `<name>-<quant>.mlpackage` and what a tokenizer needs into `out`. Returns details for the manifest.

    Raises ExportError for an architecture that is not computed, and if the exporter is not installed.
    """
    refuse_unless_known(source.base_config)
    made_for = room(source, asked)
    folder = merged_folder(source, onto, out, reporter)
    statement = merge.statement(source, onto, merge.saved_dtype(source, None)).replace("saved as", "converted from")
    package = out / f"{slug(source.name)}-{quant}.mlpackage"
    request = {"merged": folder, "out": package, "context": made_for.tokens, "quant": quant, "about": statement}
    made = call("coreml", "studio.export.targets.coreml.convert:convert", request, reporter)
    for file in package.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)
    for name in BESIDE:
        if (folder / name).exists():
            shutil.copy(folder / name, out / name)
    shape = architecture(source.base_config)
    return {
        "onto": onto,
        "statement": statement,
        "quant": quant,
        "context": made_for.tokens,
        "context_because": made_for.why,
        "cache": size(made_for.tokens * len(shape.layers) * shape.kv_heads * shape.head_size * 2 * 2),
        "needs": "iOS 18, macOS 15 or later",
        **made,
    }


def package_in(folder: Path) -> Path:
    """The export's package."""
    return next(folder.glob("*.mlpackage"))
