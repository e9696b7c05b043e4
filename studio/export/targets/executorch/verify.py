"""Checking an ExecuTorch export: the program by its logits, and by talking to the runner that applications use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.export.merging.source import Source
from studio.export.prompts import stop_token_ids
from studio.export.targets.executorch.convert import PREFILL
from studio.export.targets.executorch.limits import LIMITS
from studio.export.targets.executorch.write import program
from studio.export.toolchains import Remote, call
from studio.export.verification import answers
from studio.export.verification.loading import version
from studio.export.verification.probe import Probe
from studio.export.verification.result import Check, Sample, Verification
from studio.export.verification.texts import Text, asked_texts
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.export.targets.executorch.settings import ExecutorchTarget

TALKED = 4
"""Conversations that the runner answers too."""


def verify(target: ExecutorchTarget, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
    """The program against base + adapter and against the merged model; the runner's prompts in ids and its answers."""
    context = target.tokens(source)
    comparison = target.comparison(source, out, probe, reporter, LIMITS[target.quant], target.quant == "fp32", context)
    tokenizer = comparison.tokenizer
    texts = asked_texts(tokenizer, comparison.probe)
    said = _talk(out, texts, comparison.reference, context, reporter)
    if said["ids"] is None:
        prompts = comparison.prompts_of(tokenizer)
        unread = Check("runner_reads_tokenizer", False, None, True, f"its own cannot: {said['fault']}")
        comparison = comparison.with_checks(unread)
    else:
        prompts = comparison.prompts([text.cut(ids) for text, ids in zip(texts, said["ids"], strict=True)])
    ends = stop_token_ids(target.merged(source, out, reporter))
    settings = {"file": program(out), "context": context, "prefill": min(PREFILL, context), "ends": ends}
    with Remote("executorch", "studio.export.targets.executorch.runtime:open_program", settings, reporter) as model:
        result = comparison.measure(model, prompts, f"ExecuTorch {version('executorch')} (XNNPACK)")
    ends_as_text = [str(tokenizer.decode([token])) for token in ends]
    return result.with_checks(*_answers(said["answers"], result.samples, ends_as_text))


def _talk(out: Path, texts: list[Text], known: answers.Reference, context: int, reporter: Reporter) -> dict[str, Any]:
    asked, left = [], TALKED
    for case, text in zip(known.cases, texts, strict=True):
        short = len(case.prompt) + answers.LONGEST_ANSWER <= context
        answer = bool(left and short and text.whole)
        asked.append({"text": text.text, "answer": answer})
        left -= answer
    request = {"file": program(out), "tokenizer": out / "tokenizer.json", "longest": answers.LONGEST_ANSWER, "asked": asked}
    return call("executorch", "studio.export.targets.executorch.runtime:converse", request, reporter)


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
