"""Making the GGUF file of a run: the merged model, converted, quantized, with an Ollama Modelfile beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.files import write_text
from studio.core.text import slug
from studio.export.llamacpp import modelfile, writer
from studio.export.llamacpp.files import ending_of, gguf_in
from studio.export.llamacpp.formats import fallback_note
from studio.export.merging import merge
from studio.export.merging.source import Source, source_tokenizer
from studio.export.prompts import portable_template
from studio.export.resources import Need, process_bytes, threads
from studio.export.targets.gguf import quantize
from studio.export.targets.merged_model import WORK
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.export.targets.gguf.settings import GgufTarget


def estimate(target: GgufTarget, source: Source) -> Need:
    """Disk space: the file, what it is quantized from, and a merged model unless there is one. Memory: merging or checking."""
    file = int(target.size(source.dims) * 1.04)
    middle = source.parameters * 2 if target.quant in quantize.FTYPES else 0
    disk = file + target.merged_scratch(source) + middle + (32 << 20)
    written = max(merge.merged_bytes(source, None), file) + process_bytes()
    return Need(disk=disk, memory=max(written, target.memory(source)))


def write(target: GgufTarget, source: Source, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write `<name>-<quant>.gguf` and `Modelfile` into `out`. Returns details for the manifest.

    Raises ExportError for a model llama.cpp would read otherwise, and for a K-quant without a quantizer.
    """
    quant = target.quant
    k_quant = quant in quantize.FTYPES
    if k_quant:
        quantize.refuse_if_missing(quant)
    folder = target.merged(source, out, reporter)
    file = out / f"{slug(source.name)}-{quant}.gguf"
    tokenizer = source_tokenizer(source)
    ending = ending_of(folder, tokenizer)
    first = out / WORK / "f16.gguf" if k_quant else file
    stored = writer.write(
        folder,
        first,
        "f16" if k_quant else quant,
        name=source.name,
        ending=ending,
        template=portable_template(tokenizer),
        license=source.base.license or "",
        progress=lambda done, total: reporter.progress(done, total, "writing GGUF"),
    )
    left_out = stored.left_out
    if k_quant:
        reporter.progress(0, 1, "quantizing")
        quantize.quantize(first, file, quant, threads(source))
        first.unlink()
        stored = writer.stored(file)
    file.chmod(0o644)
    text = modelfile.write(file.name, tokenizer, ending.all, ending.add_bos, source.system)
    write_text(out / "Modelfile", text)
    details = target.statement(source)
    note = fallback_note(source.dims, quant)
    if note:
        details["statement"] += f" {note[0].upper()}{note[1:]}."
    return {
        **details,
        "quant": quant,
        "bits_per_weight": round(stored.bits_per_weight, 2),
        "tensors": stored.tensors,
        "fell_back": stored.fell_back,
        "left_out": left_out,
        "stops_at": [tokenizer.decode([token]) for token in ending.all],
        "adds_bos": ending.add_bos,
        "ollama_template": modelfile.has_template(text),
    }


def serve(source: Source, folder: Path) -> list[str]:
    """Commands that serve the file in `folder`, greedily, as it was verified."""
    name = slug(source.name)
    return [
        f"llama-server -m {gguf_in(folder)} --jinja --temp 0",
        f"ollama create {name} -f {folder / 'Modelfile'} && ollama run {name}",
    ]
