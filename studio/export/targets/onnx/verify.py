"""Checking an ONNX export in ONNX Runtime GenAI: its logits, its tokenizer, its template engine, its own greedy search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.export.artifacts.manifest import Check, Verification, judged
from studio.export.merging.merged_folder import WORK, merged_export
from studio.export.merging.source import Onto, Probe, Source
from studio.export.prompts import stop_token_ids
from studio.export.targets.onnx.files import Provider, Quant
from studio.export.toolchains import Remote, call
from studio.export.toolchains.extras import version
from studio.export.verification import answers, limits
from studio.export.verification import checks as verify
from studio.export.verification.reference import reference, source_tokenizer
from studio.export.verification.texts import Text, asked_texts
from studio.tracking.reporter import Reporter

TALKED = 4
"""Conversations that the runtime's own search answers too."""


def verify_onnx(
    source: Source, out: Path, quant: Quant, device: Provider, onto: Onto, probe: Probe, reporter: Reporter
) -> Verification:
    """The model against base + adapter and against the merged model, on the CPU whatever it is built for."""
    known = reference(source, probe, reporter)
    tokenizer = source_tokenizer(source)
    merged = verify.merged_expects(source, out, onto, known, reporter)
    limit = limits.ORIGINAL if onto == "original" and source.quantized else limits.ONNX[quant]
    ends = stop_token_ids(merged_export(source, onto) or out / WORK / "merged")
    longest = min(known.longest, int(source.base_config.max_position_embeddings))
    texts = asked_texts(tokenizer, probe)
    said = _talk(out, texts, probe, longest, reporter)
    prompts = verify.same_prompts([text.cut(ids) for text, ids in zip(texts, said["ids"], strict=True)], known)
    name = f"ONNX Runtime GenAI {version('onnxruntime-genai')} on the CPU"
    settings = {"folder": out, "longest": longest, "ends": ends}
    with Remote("onnx", "studio.export.targets.onnx.runtime:open_model", settings, reporter) as model:
        beside = [verify.Beside(merged, lambda distance: _to_merged(distance, quant))]
        before = _written(texts, said)
        found = verify.compared(model, tokenizer, prompts, known, limit, probe, name, before, reporter, beside)
        own = model.greedy([case.prompt for case in known.cases], answers.LONGEST_ANSWER)
    last = _search(said["answers"], own, ends)
    note = " ".join(part for part in (found.note, _elsewhere(device)) if part)
    return replace(judged(name, [*found.checks, *last], found.samples, note), evidence=found.evidence)


def _talk(out: Path, texts: Sequence[Text], probe: Probe, longest: int, reporter: Reporter) -> dict[str, Any]:
    asked, left = [], TALKED
    for text, item in zip(texts, probe.asked(), strict=True):
        answer = bool(left and text.whole)
        asked.append({"text": text.text, "messages": list(item.prompt), "tools": list(item.tools), "answer": answer})
        left -= answer
    file = out / "chat_template.jinja"
    template = file.read_text("utf-8") if file.exists() else None
    request = {"folder": out, "template": template, "longest": answers.LONGEST_ANSWER, "room": longest, "asked": asked}
    return call("onnx", "studio.export.targets.onnx.runtime:converse", request, reporter)


def _written(texts: Sequence[Text], said: dict[str, Any]) -> list[Check]:
    """Its template engine knows a part of Jinja: where it fails an application must write prompts by other means."""
    same = [text.text == made for text, made in zip(texts, said["texts"], strict=True) if made is not None]
    if said["fault"] or not same:
        why = (
            f"its engine cannot write the trained template ({said['fault']})" if said["fault"] else "no conversation was asked"
        )
        return [Check("prompts_identical", "not written", None, True, why)]
    share = sum(same) / len(same)
    return [Check("prompts_identical", share, 1.0, share == 1.0, "prompts its template engine writes exactly as trained")]


def _to_merged(distance: answers.Distance, quant: Quant) -> Check:
    allowed = limits.CONVERSION if quant in ("fp32", "fp16") else limits.ONNX[quant].kl
    explanation = f"mean KL to the merged model it was converted from, computed in float32; {limits.ONNX[quant].why}"
    return Check("kl_to_merged", distance.kl, allowed, distance.kl <= allowed, explanation)


def _search(said: Sequence[list[int] | None], own: Sequence[tuple[list[int], bool]], ends: Sequence[int]) -> list[Check]:
    """Its own greedy search with its own settings takes the likeliest tokens and stops where it was trained to."""
    pairs = [(ids, [*mine]) for ids, (mine, _) in zip(said, own, strict=True) if ids is not None]
    same = [ids[: len(mine)] == mine and set(ids[len(mine) :]) <= set(ends) for ids, mine in pairs]
    share = sum(same) / len(same) if same else 1.0
    explanation = f"of {len(same)} conversations answered by its own greedy search, those with the likeliest tokens to the end"
    return [Check("search_answers", share, 0.5, share >= 0.5, explanation)] if same else []


def _elsewhere(device: Provider) -> str:
    """What a reader must know of a model that is built for another device than the CPU it was run on."""
    return (
        ""
        if device == "cpu"
        else f"Its graph was run on the CPU; for {device}, which it is built for: structure checked, not run."
    )
