"""Making the GGUF file of a run: the merged model, converted, quantised, with an Ollama Modelfile beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from studio.core.files import read_json, write_text
from studio.core.text import slug
from studio.export import gguf_quant, merge, modelfile
from studio.export.llamacpp import architectures, quantize, writer
from studio.export.llamacpp.formats import BITS, Quant
from studio.export.merged import WORK, merged_export, merged_folder
from studio.export.reference import source_tokenizer
from studio.export.room import RUNTIME, Need
from studio.export.source import Onto, Source
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
        template=file_template(tokenizer),
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


def gguf_in(folder: Path) -> Path:
    """The GGUF file of an export."""
    return next(folder.glob("*.gguf"))


def serve(source: Source, folder: Path) -> list[str]:
    """Commands that serve the file in `folder`."""
    name = slug(source.name)
    return [
        f"llama-server -m {gguf_in(folder)} --jinja",
        f"ollama create {name} -f {folder / 'Modelfile'} && ollama run {name}",
    ]


def file_template(tokenizer: Any) -> str | None:
    """The trained chat template as a GGUF file holds it, if there is one."""
    from studio.models.chat import chat_template

    return without_marks(chat_template(tokenizer)) if tokenizer.chat_template else None


def without_marks(template: str) -> str:
    """The template with transformers' own `{% generation %}` marks as a condition that is always true: other Jinja
    engines do not know them, and white space control stays as it was."""
    opened = re.sub(r"(\{%[-+]?)\s*generation\s*([-+]?%\})", r"\1 if true \2", template)
    return re.sub(r"(\{%[-+]?)\s*endgeneration\s*([-+]?%\})", r"\1 endif \2", opened)


def ending_of(folder: Path, tokenizer: Any) -> writer.Ending:
    """The special tokens of a model folder."""
    ends = read_json(folder / "generation_config.json")["eos_token_id"]
    ends = tuple(ends) if isinstance(ends, list) else (ends,)
    return writer.Ending(tokenizer.bos_token_id, tokenizer.pad_token_id, ends[0], ends, adds_bos(tokenizer))


def adds_bos(tokenizer: Any) -> bool:
    """True if llama.cpp is to add BOS to a chat prompt.

    It is only if the template writes one itself (llama.cpp then takes care not to have two), or if there is no template and
    the tokenizer adds one: so prompts stay those trained.
    """
    bos = tokenizer.bos_token_id
    added = bos is not None and tokenizer("a").input_ids[:1] == [bos]
    if tokenizer.chat_template:
        from studio.models.chat import render

        text = render(tokenizer, [{"role": "user", "content": "a"}], prompt=True).text
        added = added and text.startswith(str(tokenizer.bos_token))
    return added
