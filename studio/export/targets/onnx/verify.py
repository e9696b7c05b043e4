"""Checking an ONNX export in ONNX Runtime GenAI: its logits, its tokenizer, its template engine, its own greedy search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.export.merging.source import Source
from studio.export.prompts import stop_token_ids
from studio.export.targets.onnx.limits import LIMITS
from studio.export.toolchains import Remote, call
from studio.export.verification import answers
from studio.export.verification.loading import version
from studio.export.verification.probe import Probe
from studio.export.verification.result import Check, Verification
from studio.export.verification.texts import Text, asked_texts
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.export.targets.onnx.settings import OnnxTarget

TALKED = 4
"""Conversations that the runtime's own search answers too."""


def verify(target: OnnxTarget, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
    """The model against base + adapter and against the merged model, on the CPU whatever it is built for."""
    exact = target.quant in ("fp32", "fp16")
    comparison = target.comparison(source, out, probe, reporter, LIMITS[target.quant], exact)
    known = comparison.reference
    ends = stop_token_ids(target.merged(source, out, reporter))
    longest = min(known.longest, int(source.base_config.max_position_embeddings))
    texts = asked_texts(comparison.tokenizer, probe)
    said = _talk(out, texts, probe, longest, reporter)
    prompts = comparison.prompts([text.cut(ids) for text, ids in zip(texts, said["ids"], strict=True)])
    comparison = comparison.with_checks(*_written(texts, said))
    name = f"ONNX Runtime GenAI {version('onnxruntime-genai')} on the CPU"
    settings = {"folder": out, "longest": longest, "ends": ends}
    with Remote("onnx", "studio.export.targets.onnx.runtime:open_model", settings, reporter) as model:
        result = comparison.measure(model, prompts, name)
        own = model.greedy([case.prompt for case in known.cases], answers.LONGEST_ANSWER)
    note = " ".join(part for part in (result.note, _elsewhere(target.provider)) if part)
    return replace(result.with_checks(*_search(said["answers"], own, ends)), note=note)


def _talk(out: Path, texts: Sequence[Text], probe: Probe, longest: int, reporter: Reporter) -> dict[str, Any]:
    asked, left = [], TALKED
    for text, item in zip(texts, probe.questions(), strict=True):
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


def _search(said: Sequence[list[int] | None], own: Sequence[tuple[list[int], bool]], ends: Sequence[int]) -> list[Check]:
    """Its own greedy search with its own settings takes the likeliest tokens and stops where it was trained to."""
    pairs = [(ids, [*mine]) for ids, (mine, _) in zip(said, own, strict=True) if ids is not None]
    same = [ids[: len(mine)] == mine and set(ids[len(mine) :]) <= set(ends) for ids, mine in pairs]
    share = sum(same) / len(same) if same else 1.0
    explanation = f"of {len(same)} conversations answered by its own greedy search, those with the likeliest tokens to the end"
    return [Check("search_answers", share, 0.5, share >= 0.5, explanation)] if same else []


def _elsewhere(device: str) -> str:
    """What a reader must know of a model that is built for another device than the CPU it was run on."""
    return (
        ""
        if device == "cpu"
        else f"Its graph was run on the CPU; for {device}, which it is built for: structure checked, not run."
    )
