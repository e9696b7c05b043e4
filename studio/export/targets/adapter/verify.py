"""Loading an exported adapter with plain peft on the base, as it was loaded in training."""

from __future__ import annotations

from pathlib import Path

from studio.export.merging.merge import quiet
from studio.export.merging.source import Source
from studio.export.targets.adapter.limits import LIMITS
from studio.export.verification import answers
from studio.export.verification.comparison import Comparison
from studio.export.verification.loading import version
from studio.export.verification.probe import Probe
from studio.export.verification.result import Verification
from studio.hardware import machine as machines
from studio.tracking.reporter import Reporter


def verify(source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
    """The folder's weights, tokenizer and template against base + adapter."""
    from peft import PeftModel
    from transformers import AutoTokenizer

    from studio.models import loading

    comparison = Comparison.prepare(source, out, probe, LIMITS, reporter)
    base = loading.load_base(source.model, machines.probe().device, source.base)
    with quiet():
        model = loading.without_packing(PeftModel.from_pretrained(base, out))
    tokenizer = AutoTokenizer.from_pretrained(out)
    runtime = answers.Transformers(model, tokenizer)
    return comparison.measure(runtime, comparison.prompts_of(tokenizer), f"peft {version('peft')}", tokenizer)
