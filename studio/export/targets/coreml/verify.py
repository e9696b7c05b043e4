"""Checking a Core ML export. On a Mac it is run; elsewhere its structure is checked, and its weights are read back from the
file and computed in torch, which shows everything but Core ML's own arithmetic."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.export.decoder.architecture import architecture
from studio.export.merging.source import Source
from studio.export.prompts import stop_token_ids
from studio.export.targets.coreml.limits import LIMITS
from studio.export.targets.coreml.write import package_in
from studio.export.toolchains import Remote
from studio.export.verification.probe import Probe
from studio.export.verification.result import Check, Verification, structural
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.export.targets.coreml.settings import CoremlTarget

ROUNDING = {"fp16": 1e-3, "int8": 8e-3, "int4": 8e-2}
"""Most a weight may differ over the largest of its tensor: half a step is 1/2048, 1/254 and 1/14, and scales are rounded."""
WHY = (
    "Core ML runs on Apple devices only. The weights were read back from the file and computed in torch: the figures are those "
    "of these weights, without Core ML's arithmetic in float16"
)
VERSION = 9
"""Of the specification: iOS 18, the first with states."""


def verify(target: CoremlTarget, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
    """The package's structure, and what its weights answer against base + adapter and the merged model."""
    from transformers import AutoTokenizer

    context = target.tokens(source)
    comparison = target.comparison(source, out, probe, reporter, LIMITS[target.quant], target.quant == "fp16", context)
    folder = target.merged(source, out, reporter)
    prompts = comparison.prompts_of(AutoTokenizer.from_pretrained(out))
    settings = {"merged": folder, "package": package_in(out), "context": context, "ends": stop_token_ids(folder)}
    with Remote("coreml", "studio.export.targets.coreml.runtime:opened", settings, reporter) as model:
        contents = model.ask("look")
        comparison = comparison.with_checks(*_structure(contents, source, context), *_rounding(contents))
        name = f"Core ML through coremltools {contents['coremltools']}"
        result = comparison.measure(model, prompts, name)
    if sys.platform == "darwin":
        return result
    note = WHY + (f". {result.note}" if result.note else "")
    return replace(
        structural(name, result.checks, note), samples=result.samples, evidence=result.evidence, general=result.general
    )


def _structure(answers: dict[str, Any], source: Source, context: int) -> list[Check]:
    shape = architecture(source.base_config)
    cache = [len(shape.layers), 1, shape.kv_heads, context, shape.head_size]
    wanted = {
        "inputs": {"inputIds": [1, -1], "causalMask": [1, 1, -1, -1]},
        "outputs": {"logits": [1, 1, shape.vocabulary]},
        "states": {"keyCache": cache, "valueCache": cache},
    }
    checks = [
        Check(
            name, answers[name] == expected, True, answers[name] == expected, f"{name} of the package: {_said(answers[name])}"
        )
        for name, expected in wanted.items()
    ]
    new = answers["version"] >= VERSION
    checks.append(Check("specification", answers["version"], VERSION, new, "its version; states exist from 9 on (iOS 18)"))
    return checks


def _rounding(answers: dict[str, Any]) -> list[Check]:
    complete = not answers["missing"]
    said = f"not in the file: {answers['missing'][:3]}" if answers["missing"] else "every weight and table is in the file"
    checks = [Check("weights_complete", complete, True, complete, said)]
    for kind, error in sorted(answers["error"].items()):
        known = kind in ROUNDING
        explanation = f"most that a number held as {kind} differs, over the largest of its tensor: no more than rounding"
        checks.append(Check(f"rounding_{kind}", error, ROUNDING.get(kind, 0.0), known and error <= ROUNDING[kind], explanation))
    return checks


def _said(shapes: dict[str, list[int]]) -> str:
    return ", ".join(f"{name} {'×'.join('n' if size < 0 else str(size) for size in shape)}" for name, shape in shapes.items())
