"""Checking a LiteRT export twice: the .tflite by its logits in LiteRT's interpreter, the .litertlm by talking to LiteRT-LM."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.data.rows import Conversation
from studio.export.artifacts.manifest import Check, Sample, Verification, judged
from studio.export.merging.merged_folder import WORK, merged_export
from studio.export.merging.source import Onto, Probe, Source
from studio.export.prompts import stop_token_ids
from studio.export.resources import threads
from studio.export.targets.litert.files import Quant, only
from studio.export.toolchains import Remote, call
from studio.export.verification import answers, limits
from studio.export.verification import checks as verify
from studio.export.verification.context import fitting
from studio.export.verification.reference import reference, source_tokenizer
from studio.models.chat import Rendered, plain_arguments
from studio.tracking.reporter import Reporter

TALKED = 4
"""Conversations that LiteRT-LM answers too."""


def verify_litert(
    source: Source, out: Path, quant: Quant, onto: Onto, context: int, probe: Probe, reporter: Reporter
) -> Verification:
    """The .tflite against base + adapter and against the merged model; LiteRT-LM's prompts, stop tokens and answers."""
    known, probe, before = fitting(reference(source, probe, reporter), probe, context)
    tokenizer = source_tokenizer(source)
    merged = verify.merged_expects(source, out, onto, known, reporter)
    folder = merged_export(source, onto) or out / WORK / "merged"
    limit = limits.ORIGINAL if onto == "original" and source.quantized else limits.LITERT[quant]
    said = _talk(source, out, tokenizer, known, probe, context, reporter)
    prompts = verify.same_prompts(said["ids"], known)
    before += [_share("prompts_identical", said["same"], "prompts that LiteRT-LM writes exactly as they were trained")]
    before += [_ends(said["ends"], stop_token_ids(folder))]
    name = f"LiteRT {said['versions']}"
    settings = {"file": only(out, "tflite"), "ends": stop_token_ids(folder), "threads": threads(source)}
    with Remote("litert", "studio.export.targets.litert.runtime:open_tflite", settings, reporter) as model:
        beside = [verify.Beside(merged, lambda distance: _to_merged(distance, quant))]
        found = verify.compared(model, tokenizer, prompts, known, limit, probe, name, before, reporter, beside)
    last = _answers(said["answers"], found.samples)
    return replace(judged(name, [*found.checks, last], found.samples, found.note), evidence=found.evidence)


def _talk(
    source: Source, out: Path, tokenizer: Any, known: answers.Reference, probe: Probe, context: int, reporter: Reporter
) -> dict[str, Any]:
    """What LiteRT-LM made of the conversations: prompts in ids (None where people wrote a control token) and whether each is
    the trained text, answers, stop sequences."""
    trained = [_trained(tokenizer, item) for item in probe.asked()]
    asked, left = [], TALKED
    for case, item, text in zip(known.cases, probe.asked(), trained, strict=True):
        short = len(case.prompt) + answers.LONGEST_ANSWER <= context
        answer = bool(left and short and text and not text.quoted)
        asked.append(
            {
                "messages": list(map(plain_arguments, item.prompt)),
                "tools": list(item.tools),
                "text": item.text,
                "answer": answer,
            }
        )
        left -= answer
    with tempfile.TemporaryDirectory(prefix="studio-litert-lm-") as scratch:
        request = {"file": only(out, "litertlm"), "scratch": scratch, "threads": threads(source), "asked": asked}
        function = "studio.export.targets.litert.runtime:converse"
        said = call("litert", function, {**request, "longest": answers.LONGEST_ANSWER}, reporter)
    ids: list[list[int] | None] = []
    for case, text, prompt in zip(known.cases, trained, said["prompts"], strict=True):
        quoted = text is not None and text.quoted
        whole = prompt["ids"] if text else prompt["ids"][: len(case.prompt)]  # plain text goes on past what is asked
        ids.append(None if quoted else whole[-answers.LONGEST_PROMPT :])
    same = [text.text == prompt["text"] for text, prompt in zip(trained, said["prompts"], strict=True) if text]
    return {"ids": ids, "same": same, "answers": said["answers"], "ends": said["ends"], "versions": said["versions"]}


def _trained(tokenizer: Any, item: Conversation) -> Rendered | None:
    """The prompt as it was trained; None for plain text."""
    from studio.data.render import check_template
    from studio.models.chat import render

    if not item.messages:
        return None
    return render(tokenizer, item.prompt, item.tools, prompt=True, guard=check_template(tokenizer).guard)


def _share(name: str, good: list[bool], explanation: str) -> Check:
    share = sum(good) / len(good) if good else 1.0
    return Check(name, share, 1.0, share == 1.0, explanation)


def _ends(found: list[list[int]], wanted: list[int]) -> Check:
    same = sorted(found) == sorted([token] for token in wanted)
    return Check("stops_identical", same, True, same, "LiteRT-LM stops at the end tokens that were trained, and at no other")


def _to_merged(distance: answers.Distance, quant: Quant) -> Check:
    allowed = limits.CONVERSION if quant == "fp32" else limits.LITERT[quant].kl
    explanation = f"mean KL to the merged model it was converted from, computed in float32; {limits.LITERT[quant].why}"
    return Check("kl_to_merged", distance.kl, allowed, distance.kl <= allowed, explanation)


def _answers(said: list[str | None], samples: list[Sample]) -> Check:
    """LiteRT-LM runs the same weights by other code, so that answers may fork at near ties, but not all of them."""
    same = [text.strip() == sample.artifact.strip() for text, sample in zip(said, samples, strict=True) if text is not None]
    share = sum(same) / len(same) if same else 1.0
    explanation = f"of {len(same)} conversations answered by LiteRT-LM, those with the very answer of the .tflite's interpreter"
    return Check("litert_lm_answers", share, 0.5, share >= 0.5, explanation)
