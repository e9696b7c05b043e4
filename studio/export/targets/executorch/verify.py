"""Checking an ExecuTorch export: the program by its logits, and by talking to the runner that applications use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.export.artifacts.manifest import Check, Sample, Verification, judged
from studio.export.merging.merged_folder import WORK, merged_export
from studio.export.merging.source import Onto, Probe, Source
from studio.export.prompts import stop_token_ids
from studio.export.targets.executorch.convert import PREFILL
from studio.export.targets.executorch.files import Quant, program
from studio.export.toolchains import Remote, call
from studio.export.toolchains.extras import version
from studio.export.verification import answers, limits
from studio.export.verification import checks as verify
from studio.export.verification.context import fitting
from studio.export.verification.reference import reference, source_tokenizer
from studio.export.verification.texts import Text, asked_texts
from studio.tracking.reporter import Reporter

TALKED = 4
"""Conversations that the runner answers too."""


def verify_executorch(
    source: Source, out: Path, quant: Quant, onto: Onto, context: int, probe: Probe, reporter: Reporter
) -> Verification:
    """The program against base + adapter and against the merged model; the runner's prompts in ids and its answers."""
    known, probe, before = fitting(reference(source, probe, reporter), probe, context)
    probe = _within(probe, context)
    tokenizer = source_tokenizer(source)
    merged = verify.merged_expects(source, out, onto, known, reporter)
    limit = limits.ORIGINAL if onto == "original" and source.quantized else limits.EXECUTORCH[quant]
    texts = asked_texts(tokenizer, probe)
    said = _talk(out, texts, known, context, reporter)
    if said["ids"] is None:
        prompts = verify.prompts_agree(known, probe, tokenizer)
        before = [*before, Check("runner_reads_tokenizer", False, None, True, f"its own cannot: {said['fault']}")]
    else:
        prompts = verify.same_prompts([text.cut(ids) for text, ids in zip(texts, said["ids"], strict=True)], known)
    name = f"ExecuTorch {version('executorch')} (XNNPACK)"
    ends = stop_token_ids(merged_export(source, onto) or out / WORK / "merged")
    settings = {"file": program(out), "context": context, "prefill": min(PREFILL, context), "ends": ends}
    with Remote("executorch", "studio.export.targets.executorch.runtime:open_program", settings, reporter) as model:
        beside = [verify.Beside(merged, lambda distance: _to_merged(distance, quant))]
        found = verify.compared(model, tokenizer, prompts, known, limit, probe, name, before, reporter, beside)
    last = _answers(said["answers"], found.samples, [str(tokenizer.decode([token])) for token in ends])
    return replace(judged(name, [*found.checks, *last], found.samples, found.note), evidence=found.evidence)


def _within(probe: Probe, context: int) -> Probe:
    """The probe with those rows of its evidence that the cache holds."""
    if not probe.evidence:
        return probe
    rows = [row for row in probe.evidence.rows if len(row.ids) <= context]
    return replace(probe, evidence=replace(probe.evidence, rows=rows) if rows else None)


def _talk(out: Path, texts: list[Text], known: answers.Reference, context: int, reporter: Reporter) -> dict[str, Any]:
    asked, left = [], TALKED
    for case, text in zip(known.cases, texts, strict=True):
        short = len(case.prompt) + answers.LONGEST_ANSWER <= context
        answer = bool(left and short and text.whole)
        asked.append({"text": text.text, "answer": answer})
        left -= answer
    request = {"file": program(out), "tokenizer": out / "tokenizer.json", "longest": answers.LONGEST_ANSWER, "asked": asked}
    return call("executorch", "studio.export.targets.executorch.runtime:converse", request, reporter)


def _to_merged(distance: answers.Distance, quant: Quant) -> Check:
    allowed = limits.CONVERSION if quant == "fp32" else limits.EXECUTORCH[quant].kl
    explanation = f"mean KL to the merged model it was converted from, computed in float32; {limits.EXECUTORCH[quant].why}"
    return Check("kl_to_merged", distance.kl, allowed, distance.kl <= allowed, explanation)


def _answers(said: list[str | None], samples: list[Sample], ends: list[str]) -> list[Check]:
    """The runner drives the same program and writes the end mark too: only tokens that are half a letter may differ."""
    same = [
        _without(text, ends).strip() == sample.artifact.strip()
        for text, sample in zip(said, samples, strict=True)
        if text is not None
    ]
    share = sum(same) / len(same) if same else 1.0
    explanation = f"of {len(same)} conversations answered by ExecuTorch's LLM runner, those with the very answer of the program"
    return [Check("runner_answers", share, 0.5, share >= 0.5, explanation)] if same else []


def _without(text: str, ends: list[str]) -> str:
    return next((text.removesuffix(end) for end in ends if text.endswith(end)), text)
