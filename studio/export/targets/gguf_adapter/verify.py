"""Checking a GGUF adapter in llama.cpp on a base file made for it.

It is loaded on the base's own weights, as people have them, so for an adapter that was trained on quantized weights the
manifest says how far that is from what was evaluated; the conversion alone is judged strictly.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.export.llamacpp import runtime, writer
from studio.export.llamacpp.files import ending_of, gguf_in, prompt
from studio.export.merging import merge
from studio.export.merging.source import Source
from studio.export.prompts import portable_template
from studio.export.resources import threads
from studio.export.targets.gguf_adapter import lora
from studio.export.targets.merged_model import WORK
from studio.export.verification import loading
from studio.export.verification.comparison import Comparison
from studio.export.verification.limits import CONVERSION, EXACT, ORIGINAL
from studio.export.verification.probe import Probe
from studio.export.verification.result import Check, Verification
from studio.models.loading import free_memory
from studio.tracking.reporter import Reporter

_SUM = (
    "llama.cpp loaded the adapter on the base file. The binding used here cannot switch it on, so what ran is the sum that "
    "llama.cpp computes, with the matrices read back from the file."
)


def verify(source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
    """llama.cpp loads the adapter on an f16 file of the base, made for the check, and answers with both.

    Where llama.cpp is missing the verification is not run, which is not a pass.
    """
    missing = runtime.missing()
    if missing:
        return Verification(None, "llama.cpp", note=f"not run: {missing}")
    comparison = Comparison.prepare(source, out, probe, ORIGINAL if source.quantized else EXACT, reporter)
    tokenizer = comparison.tokenizer
    base = out / WORK / "base"
    merge.write_base(source, "original", merge.saved_dtype(source, None), base)
    explanation = "mean KL to the base's own weights with the adapter, in float32: more than rounding would be a fault of it"
    comparison = comparison.with_extra(_expected(comparison, base), "kl_to_adapter", CONVERSION, explanation)
    file = out / WORK / "base.gguf"
    ending, template = ending_of(base, tokenizer), portable_template(tokenizer)
    writer.write(base, file, "f16", name=source.name, ending=ending, template=template)
    loads = _loads(file, gguf_in(out))
    if not loads.passed:
        return Verification(False, "llama.cpp", [loads])
    lora.add_to(file, gguf_in(out))
    with runtime.opened(file, comparison.reference.longest, threads(source)) as model:
        prompts = comparison.prompts([prompt(model, tokenizer, conversation) for conversation in probe.questions()])
        result = comparison.with_checks(loads).measure(model, prompts, runtime.name())
    return replace(result, note=f"{_SUM} {result.note}".strip())


def _expected(comparison: Comparison, base: Path) -> Any:
    """What the base's own weights with the adapter expect, so that only the conversion is measured."""
    from peft import PeftModel

    source = comparison.source
    with merge.quiet():
        model = PeftModel.from_pretrained(loading.load_exact(source, base), source.adapter).eval()
    expected = comparison.expected_by(model)
    del model
    free_memory()
    return expected


def _loads(base: Path, adapter: Path) -> Check:
    problem = runtime.adapter_problem(base, adapter)
    explanation = problem or "llama.cpp finds every weight of the adapter in the base file, in its shape"
    return Check("adapter_loads", not problem, True, not problem, explanation)
