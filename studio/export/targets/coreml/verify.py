"""Checking a Core ML export. On a Mac it is run; elsewhere its structure is checked, and its weights are read back from the
file and computed in torch, which shows everything but Core ML's own arithmetic."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.export.artifacts.manifest import Check, Verification, structural
from studio.export.decoder.architecture import architecture
from studio.export.merging.merged_folder import WORK, merged_export
from studio.export.merging.source import Onto, Probe, Source
from studio.export.prompts import stop_token_ids
from studio.export.targets.coreml.files import Quant, package_in
from studio.export.toolchains import Remote
from studio.export.verification import checks as verify
from studio.export.verification import limits
from studio.export.verification.context import fitting
from studio.export.verification.reference import reference, source_tokenizer
from studio.tracking.reporter import Reporter

ROUNDING = {"fp16": 1e-3, "int8": 8e-3, "int4": 8e-2}
"""Most a weight may differ over the largest of its tensor: half a step is 1/2048, 1/254 and 1/14, and scales are rounded."""
WHY = (
    "Core ML runs on Apple devices only. The weights were read back from the file and computed in torch: the figures are those "
    "of these weights, without Core ML's arithmetic in float16"
)
VERSION = 9
"""Of the specification: iOS 18, the first with states."""


def verify_coreml(
    source: Source, out: Path, quant: Quant, onto: Onto, context: int, probe: Probe, reporter: Reporter
) -> Verification:
    """The package's structure, and what its weights answer against base + adapter and the merged model."""
    from transformers import AutoTokenizer

    known, probe, before = fitting(reference(source, probe, reporter), probe, context)
    tokenizer = source_tokenizer(source)
    merged = verify.merged_expects(source, out, onto, known, reporter)
    folder = merged_export(source, onto) or out / WORK / "merged"
    limit = limits.ORIGINAL if onto == "original" and source.quantized else limits.COREML[quant]
    same = verify.prompts_agree(known, probe, AutoTokenizer.from_pretrained(out))
    settings = {"merged": folder, "package": package_in(out), "context": context, "ends": stop_token_ids(folder)}
    with Remote("coreml", "studio.export.targets.coreml.runtime:opened", settings, reporter) as model:
        found = model.ask("look")
        before += [*_structure(found, source, context), *_rounding(found)]
        name = f"Core ML through coremltools {found['coremltools']}"
        beside = [verify.Beside(merged, lambda distance: _to_merged(distance, quant))]
        said = verify.compared(model, tokenizer, same, known, limit, probe, name, before, reporter, beside)
    if sys.platform == "darwin":
        return said
    note = WHY + (f". {said.note}" if said.note else "")
    return replace(structural(name, said.checks, note), samples=said.samples, evidence=said.evidence)


def _structure(found: dict[str, Any], source: Source, context: int) -> list[Check]:
    shape = architecture(source.base_config)
    cache = [len(shape.layers), 1, shape.kv_heads, context, shape.head_size]
    wanted = {
        "inputs": {"inputIds": [1, -1], "causalMask": [1, 1, -1, -1]},
        "outputs": {"logits": [1, 1, shape.vocabulary]},
        "states": {"keyCache": cache, "valueCache": cache},
    }
    checks = [
        Check(name, found[name] == expected, True, found[name] == expected, f"{name} of the package: {_said(found[name])}")
        for name, expected in wanted.items()
    ]
    new = found["version"] >= VERSION
    checks.append(Check("specification", found["version"], VERSION, new, "its version; states exist from 9 on (iOS 18)"))
    return checks


def _rounding(found: dict[str, Any]) -> list[Check]:
    complete = not found["missing"]
    said = f"not in the file: {found['missing'][:3]}" if found["missing"] else "every weight and table is in the file"
    checks = [Check("weights_complete", complete, True, complete, said)]
    for kind, error in sorted(found["error"].items()):
        known = kind in ROUNDING
        explanation = f"most that a number held as {kind} differs, over the largest of its tensor: no more than rounding"
        checks.append(Check(f"rounding_{kind}", error, ROUNDING.get(kind, 0.0), known and error <= ROUNDING[kind], explanation))
    return checks


def _to_merged(distance: Any, quant: Quant) -> Check:
    allowed = limits.CONVERSION if quant == "fp16" else limits.COREML[quant].kl
    explanation = f"mean KL to the merged model it was converted from, computed in float32; {limits.COREML[quant].why}"
    return Check("kl_to_merged", distance.kl, allowed, distance.kl <= allowed, explanation)


def _said(shapes: dict[str, list[int]]) -> str:
    return ", ".join(f"{name} {'×'.join('n' if size < 0 else str(size) for size in shape)}" for name, shape in shapes.items())
