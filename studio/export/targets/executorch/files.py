"""Making an ExecuTorch export: the merged model lowered to a .pte, and beside it what an application needs to talk to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from studio.core.files import write_text
from studio.core.text import size, slug
from studio.export.decoder.architecture import architecture
from studio.export.merging import merge
from studio.export.merging.merged_folder import merged_export, merged_folder
from studio.export.merging.source import Onto, Source
from studio.export.prompts import portable_template, stop_token_ids
from studio.export.resources import RUNTIME, Need
from studio.export.targets.executorch import PACKAGES
from studio.export.toolchains import call
from studio.export.toolchains.extras import refuse_if_missing
from studio.export.verification.context import context
from studio.export.verification.reference import source_tokenizer
from studio.tracking.reporter import Reporter

Quant = Literal["fp32", "8da8w", "8da4w"]
BYTES: dict[Quant, float] = {"fp32": 4.0, "8da8w": 1.03, "8da4w": 0.7}
"""Bytes a weight takes, scales included; of 4 bit with embeddings and head, which a small model has many of, in 8."""
COPIES = 4
"""Float32 copies of the weights in memory at the peak of lowering: torch's, the graph's constants and the file's."""


def estimate(source: Source, quant: Quant, onto: Onto) -> Need:
    """Disk: the file, and a merged model unless there is one. Memory: lowering."""
    merged = 0 if merged_export(source, onto) else merge.merged_bytes(source, None)
    return Need(disk=size_of(source.parameters, quant) + merged, memory=source.parameters * 4 * COPIES + RUNTIME)


def size_of(parameters: int, quant: Quant) -> int:
    """About how many bytes the export takes for a base of so many weights."""
    return int(parameters * BYTES[quant]) + (24 << 20)


def write_files(source: Source, quant: Quant, onto: Onto, asked: int | None, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write `<name>-<quant>.pte`, the tokenizer, the chat template and `prompt.txt`. Returns details for the manifest.

    Raises ExportError if the extra is not installed or the architecture is not one of the decoder's.
    """
    refuse_if_missing("executorch", PACKAGES)
    shape = architecture(source.base_config)  # refused before an hour of merging, not after
    room = context(source, asked, shape.reach)
    folder = merged_folder(source, onto, out, reporter)
    tokenizer, ends = source_tokenizer(source), stop_token_ids(folder)
    file = out / f"{slug(source.name)}-{quant}.pte"
    bos = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else ends[0]
    request = {"merged": folder, "file": file, "quant": quant, "context": room.tokens, "ends": ends, "bos": bos}
    made = call("executorch", "studio.export.targets.executorch.convert:convert", request, reporter)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(folder / name, out / name)
    template = portable_template(tokenizer)
    if template:
        write_text(out / "chat_template.jinja", template)
        write_text(out / "prompt.txt", example(tokenizer))
    return {
        "onto": onto,
        "statement": merge.statement(source, onto, merge.saved_dtype(source, None)).replace("saved as", "converted from"),
        "quant": quant,
        "context": room.tokens,
        "context_because": room.why,
        "cache": size(room.tokens * len(shape.layers) * shape.kv_heads * shape.head_size * 2 * 4),
        "stops_at": [tokenizer.decode([token]) for token in ends],
        **made,
    }


def example(tokenizer: Any) -> str:
    """A question as the trained template writes it: what the runner, which knows no templates, must be given."""
    from studio.models.chat import render

    return render(tokenizer, [{"role": "user", "content": "Hello!"}], prompt=True).text


def program(folder: Path) -> Path:
    """The export's .pte."""
    return next(folder.glob("*.pte"))


def serve(folder: Path) -> list[str]:
    """A command that answers `prompt.txt` in ExecuTorch's runner, the one that its demo applications for phones use."""
    question = "open('prompt.txt').read()" if (folder / "prompt.txt").exists() else "'Once'"
    lines = (
        "import executorch.kernels.quantized, executorch.extension.llm.runner as r; "
        f"r.TextLLMRunner('{program(folder)}', 'tokenizer.json').generate({question}, "
        "r.GenerationConfig(echo=False, temperature=0))"
    )
    return [f'pip install executorch && python -c "{lines}"']
