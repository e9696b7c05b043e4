"""Checking a 4-bit model folder: in vLLM where its toolchain is installed, else in transformers with compressed-tensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.export import toolchains
from studio.export.merging import merge
from studio.export.merging.source import Source
from studio.export.prompts import stop_token_ids
from studio.export.targets.merged_4bit.limits import LIMITS
from studio.export.targets.merged_4bit.write import TOOLCHAIN
from studio.export.verification import loading
from studio.export.verification.comparison import Comparison
from studio.export.verification.probe import Probe
from studio.export.verification.result import Verification
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.export.targets.merged_4bit.settings import Merged4BitTarget

VLLM = "vllm"


def verify(target: Merged4BitTarget, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
    """The folder against base + adapter."""
    from transformers import AutoTokenizer

    comparison = Comparison.prepare(source, out, probe, target.limits(source, LIMITS), reporter)
    tokenizer = AutoTokenizer.from_pretrained(out)
    with _opened(source, out, comparison.reference.longest, reporter) as model:
        comparison = comparison.with_checks(loading.weights_complete(model.ask("wrong")))
        return comparison.measure(model, comparison.prompts_of(tokenizer), model.ask("version"), tokenizer)


def _opened(source: Source, out: Path, longest: int, reporter: Reporter) -> toolchains.Remote:
    settings: dict[str, Any] = {"folder": str(out), "dtype": merge.DTYPES[source.model.dtype or "fp32"]}
    if not toolchains.ready(VLLM):
        return toolchains.Remote(TOOLCHAIN, "studio.export.targets.merged_4bit.runtime:opened", settings, reporter)
    settings |= {"ends": stop_token_ids(out), "context": longest + 1}
    if source.model.dtype == "fp32":
        settings["dtype"] = "auto"  # vLLM has no kernel that multiplies 4-bit weights in float32
    return toolchains.Remote(VLLM, "studio.export.toolchains.vllm.runtime:opened", settings, reporter)
