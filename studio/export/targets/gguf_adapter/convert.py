"""The adapter as a GGUF file of its own, and its check in llama.cpp on a base file made for it.

It is loaded on the base's own weights, as people have them, so for an adapter that was trained on quantised weights the
manifest says how far that is from what was evaluated; the conversion alone is judged strictly.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.core.files import write_text
from studio.core.text import slug
from studio.export.artifacts.manifest import Check, Verification
from studio.export.llamacpp import modelfile, runtime, writer
from studio.export.llamacpp.files import ending_of, gguf_in, prompt
from studio.export.merging import merge
from studio.export.merging.merged_folder import WORK
from studio.export.merging.source import Probe, Source
from studio.export.prompts import adds_bos, portable_template
from studio.export.resources import RUNTIME, Need, free, lora_bytes, threads
from studio.export.targets.gguf_adapter import lora
from studio.export.verification import answers, limits
from studio.export.verification import checks as verify
from studio.export.verification.reference import reference, source_tokenizer
from studio.tracking.reporter import Reporter

BASE = "BASE.gguf"
"""How commands and Modelfile call the base model's GGUF file, which whoever serves it has."""
_SUM = (
    "llama.cpp loaded the adapter on the base file. The binding used here cannot switch it on, so what ran is the sum that "
    "llama.cpp computes, with the matrices read back from the file."
)


def estimate(source: Source) -> Need:
    """Disk: the file, and for the check the base twice. Memory: the base in float32."""
    base = merge.merged_bytes(source, None)
    disk = lora_bytes(source.parameters) + base + source.parameters * 2
    return Need(disk=disk + (32 << 20), memory=max(base, source.parameters * 2) + RUNTIME)


def write_file(source: Source, out: Path) -> dict[str, Any]:
    """Write `<name>-adapter.gguf`, `chat_template.jinja` and `Modelfile` into `out`. Returns details for the manifest.

    Raises ExportError for an adapter that is not plain LoRA.
    """
    from studio.models.generation import stop_ids

    file = out / f"{slug(source.name)}-adapter.gguf"
    changed = lora.write(source.adapter, source.base_config, file, slug(source.name))
    file.chmod(0o644)
    tokenizer = source_tokenizer(source)
    ends = stop_ids(tokenizer)
    template = portable_template(tokenizer)
    if template:
        write_text(out / "chat_template.jinja", template)
    text = modelfile.write(BASE, tokenizer, ends, adds_bos(tokenizer), file.name)
    write_text(out / "Modelfile", text)
    held = f", which it was trained on quantised to {source.model.quantization}" if source.quantized else ""
    return {
        "statement": f"To be loaded on a GGUF file of {source.base_name}{held}.",
        "rank": source.rank,
        "weights_changed": changed,
        "stops_at": [tokenizer.decode([token]) for token in ends],
        "ollama_template": modelfile.has_template(text),
    }


def verify_file(source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
    """llama.cpp loads the adapter on an f16 file of the base, made for the check, and answers with both.

    Where llama.cpp is missing the verification is not run, which is not a pass.
    """
    missing = runtime.missing()
    if missing:
        return Verification(None, "llama.cpp", note=f"not run: {missing}")
    known = reference(source, probe, reporter)
    tokenizer = source_tokenizer(source)
    base = out / WORK / "base"
    merge.write_base(source, "original", merge.saved_dtype(source, None), base)
    expected = _expects(source, base, known, reporter)
    file = out / WORK / "base.gguf"
    writer.write(base, file, "f16", name=source.name, ending=ending_of(base, tokenizer), template=portable_template(tokenizer))
    loads = _loads(file, gguf_in(out))
    if not loads.passed:
        return Verification(False, "llama.cpp", [loads])
    lora.add_to(file, gguf_in(out))
    limit = limits.ORIGINAL if source.quantized else limits.GGUF["f16"]
    name = f"llama.cpp through cyllama {runtime.version()}"
    with runtime.opened(file, known.longest, threads(source)) as model:
        same = verify.same_prompts([prompt(model, tokenizer, talk) for talk in probe.asked()], known)
        beside = [verify.Beside(expected, _to_adapter)]
        found = verify.compared(model, tokenizer, same, known, limit, probe, name, [loads], reporter, beside)
    return replace(found, note=f"{_SUM} {found.note}".strip())


def serve(source: Source, folder: Path) -> list[str]:
    """Commands that serve the adapter in `folder` on a base file."""
    name = slug(source.name)
    template = folder / "chat_template.jinja"
    own = f" --jinja --chat-template-file {template}" if template.exists() else ""
    return [
        f"llama-server -m {BASE} --lora {gguf_in(folder)}{own}",
        f"ollama create {name} -f {folder / 'Modelfile'} && ollama run {name}",
    ]


def _expects(source: Source, base: Path, known: answers.Reference, reporter: Reporter) -> answers.Forced:
    """What the base's own weights with the adapter expect, so that only the conversion is measured."""
    from peft import PeftModel

    with merge.quiet():
        model = PeftModel.from_pretrained(verify.load_exact(source, base), source.adapter).eval()
    expected = answers.forced(answers.Transformers(model, None), known.cases, reporter)
    del model
    free()
    return expected


def _loads(base: Path, adapter: Path) -> Check:
    problem = runtime.adapter_problem(base, adapter)
    explanation = problem or "llama.cpp finds every weight of the adapter in the base file, in its shape"
    return Check("adapter_loads", not problem, True, not problem, explanation)


def _to_adapter(distance: answers.Distance) -> Check:
    explanation = "mean KL to the base's own weights with the adapter, in float32: more than rounding would be a fault of it"
    return Check("kl_to_adapter", distance.kl, limits.CONVERSION, distance.kl <= limits.CONVERSION, explanation)
