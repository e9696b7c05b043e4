"""Making the GGUF file of a run: the merged model, converted, quantised, with an Ollama Modelfile beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.core.files import write_text
from studio.core.text import slug
from studio.export.llamacpp import architectures, modelfile, writer
from studio.export.llamacpp.files import ending_of, gguf_in
from studio.export.llamacpp.formats import BITS, Quant
from studio.export.merging import merge
from studio.export.merging.merged_folder import WORK, merged_export, merged_folder
from studio.export.merging.source import Onto, Source
from studio.export.prompts import portable_template
from studio.export.resources import RUNTIME, Need
from studio.export.targets.gguf import k_quants as gguf_quant
from studio.export.targets.gguf import quantize
from studio.export.verification.reference import source_tokenizer
from studio.tracking.reporter import Reporter


def estimate(source: Source, quant: Quant, onto: Onto) -> Need:
    """Disk: the file, what it is quantised from and compared with, and a merged model unless there is one. Memory: merging
    or checking."""
    merged = merge.merged_bytes(source, None)
    file = int(source.parameters * (BITS[quant] * 1.04) / 8)
    scratch = 0 if merged_export(source, onto) else merged
    middle = 0
    if quant in quantize.FTYPES:
        middle = source.parameters * 2 + (file if quant in gguf_quant.HELPS else 0)
    return Need(disk=file + scratch + middle + (32 << 20), memory=max(merged, file) + RUNTIME)


def write_file(source: Source, quant: Quant, onto: Onto, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write `<name>-<quant>.gguf` and `Modelfile` into `out`. Returns details for the manifest.

    Raises ExportError for a model llama.cpp would read otherwise, and for a K-quant without a quantizer.
    """
    architectures.layout(source.base_config)  # refused before an hour of merging, not after
    k_quant = quant in quantize.FTYPES
    if k_quant:
        quantize.refuse_if_missing(quant)
    folder = merged_folder(source, onto, out, reporter)
    file = out / f"{slug(source.name)}-{quant}.gguf"
    tokenizer = source_tokenizer(source)
    ending = ending_of(folder, tokenizer)
    first = out / WORK / "f16.gguf" if k_quant else file
    held = writer.write(
        folder,
        first,
        "f16" if k_quant else quant,
        name=source.name,
        ending=ending,
        template=portable_template(tokenizer),
        license=source.base.license or "",
        progress=lambda done, total: reporter.progress(done, total, "writing GGUF"),
    )
    left_out, chosen = held.left_out, {}
    if k_quant:
        chosen = gguf_quant.quantised(source, folder, first, file, quant, reporter)
        first.unlink()
        held = writer.stored(file)
    file.chmod(0o644)
    text = modelfile.write(file.name, tokenizer, ending.all, ending.add_bos)
    write_text(out / "Modelfile", text)
    statement = merge.statement(source, onto, merge.saved_dtype(source, None)).replace("saved as", "converted from")
    return {
        "onto": onto,
        "statement": " ".join(filter(None, (statement, chosen.get("statement")))),
        "quant": quant,
        "bits_per_weight": round(held.bits_per_weight, 2),
        "tensors": held.tensors,
        "fell_back": held.fell_back,
        **({"importance_matrix": chosen} if chosen else {}),
        "left_out": left_out,
        "stops_at": [tokenizer.decode([token]) for token in ending.all],
        "adds_bos": ending.add_bos,
        "ollama_template": modelfile.has_template(text),
    }


def serve(source: Source, folder: Path) -> list[str]:
    """Commands that serve the file in `folder`."""
    name = slug(source.name)
    return [
        f"llama-server -m {gguf_in(folder)} --jinja",
        f"ollama create {name} -f {folder / 'Modelfile'} && ollama run {name}",
    ]
