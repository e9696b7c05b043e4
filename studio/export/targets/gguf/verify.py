"""Loading a GGUF file in llama.cpp and comparing it twice: with the merged model (is the conversion right?) and with
base + adapter (does it answer as what was evaluated?)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from studio.export.llamacpp import runtime
from studio.export.llamacpp.files import gguf_in, prompt
from studio.export.merging.source import Source
from studio.export.prompts import portable_template
from studio.export.resources import threads
from studio.export.targets.gguf.limits import LIMITS
from studio.export.verification.probe import Probe
from studio.export.verification.result import Check, Verification
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from studio.export.targets.gguf.settings import GgufTarget


def verify(target: GgufTarget, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
    """llama.cpp tokenizes the prompts, scores the answers and answers by itself, on the CPU with a float32 cache.

    Where llama.cpp is missing the verification is not run, which is not a pass.
    """
    missing = runtime.missing()
    if missing:
        return Verification(None, "llama.cpp", note=f"not run: {missing}")
    comparison = target.comparison(source, out, probe, reporter, LIMITS[target.quant], exact=target.quant == "f16")
    with runtime.opened(gguf_in(out), comparison.reference.longest, threads(source)) as model:
        prompts = [prompt(model, comparison.tokenizer, conversation) for conversation in probe.questions()]
        comparison = comparison.with_checks(_same_template(model, comparison.tokenizer))
        return comparison.measure(model, comparison.prompts(prompts), runtime.name())


def _same_template(model: runtime.Gguf, tokenizer: PreTrainedTokenizerBase) -> Check:
    same = model.template == (portable_template(tokenizer) or "")
    return Check("template_identical", same, True, same, "the chat template in the file is the one trained")
