"""Loading a GGUF file in llama.cpp and comparing it twice: with the merged model (is the conversion right?) and with
base + adapter (does it answer as what was evaluated?)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from studio.export.artifacts.manifest import Check, Verification
from studio.export.llamacpp import runtime
from studio.export.llamacpp.files import gguf_in, prompt
from studio.export.merging.source import Onto, Probe, Source
from studio.export.prompts import portable_template
from studio.export.resources import threads
from studio.export.verification import answers, limits
from studio.export.verification import checks as verify
from studio.export.verification.reference import reference, source_tokenizer
from studio.tracking.reporter import Reporter


def verify_gguf(source: Source, out: Path, quant: str, onto: Onto, probe: Probe, reporter: Reporter) -> Verification:
    """llama.cpp tokenizes the prompts, scores the answers and answers by itself, on the CPU with a float32 cache.

    Where llama.cpp is missing the verification is not run, which is not a pass.
    """
    missing = runtime.missing()
    if missing:
        return Verification(None, "llama.cpp", note=f"not run: {missing}")
    known = reference(source, probe, reporter)
    tokenizer = source_tokenizer(source)
    merged = verify.merged_expects(source, out, onto, known, reporter)
    limit = limits.GGUF[quant]
    judged_against = limits.ORIGINAL if onto == "original" and source.quantized else limit
    name = f"llama.cpp through cyllama {runtime.version()}"
    with runtime.opened(gguf_in(out), known.longest, threads(source)) as model:
        prompts = [prompt(model, tokenizer, conversation) for conversation in probe.asked()]
        same = verify.same_prompts(prompts, known)
        before = [_same_template(model, tokenizer)]
        beside = [verify.Beside(merged, lambda distance: _to_merged(distance, quant))]
        return verify.compared(model, tokenizer, same, known, judged_against, probe, name, before, reporter, beside)


def _same_template(model: runtime.Gguf, tokenizer: Any) -> Check:
    same = model.template == (portable_template(tokenizer) or "")
    return Check("template_identical", same, True, same, "the chat template in the file is the one trained")


def _to_merged(distance: answers.Distance, quant: str) -> Check:
    allowed = limits.CONVERSION if quant == "f16" else limits.GGUF[quant].kl
    explanation = f"mean KL to the merged model it was converted from, computed in float32; {limits.GGUF[quant].why}"
    return Check("kl_to_merged", distance.kl, allowed, distance.kl <= allowed, explanation)
