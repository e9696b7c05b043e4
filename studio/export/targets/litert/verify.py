"""Checking a LiteRT export twice: the .tflite by its logits in LiteRT's interpreter, the .litertlm by talking to LiteRT-LM."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.data.rows import Conversation
from studio.export.merging.source import Source
from studio.export.prompts import stop_token_ids
from studio.export.resources import threads
from studio.export.targets.litert.limits import LIMITS
from studio.export.targets.litert.write import only
from studio.export.toolchains import Remote, call
from studio.export.verification import answers
from studio.export.verification.probe import Probe
from studio.export.verification.result import Check, Sample, Verification
from studio.models.chat import Rendered, plain_arguments
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from studio.export.targets.litert.settings import LitertTarget

TALKED = 4
"""Conversations that LiteRT-LM answers too."""


def verify(target: LitertTarget, source: Source, out: Path, probe: Probe, reporter: Reporter) -> Verification:
    """The .tflite against base + adapter and against the merged model; LiteRT-LM's prompts, stop tokens and answers."""
    context = target.tokens(source)
    comparison = target.comparison(source, out, probe, reporter, LIMITS[target.quant], target.quant == "fp32", context)
    ends = stop_token_ids(target.merged(source, out, reporter))
    said = _talk(source, out, comparison.tokenizer, comparison.reference, comparison.probe, context, reporter)
    prompts = comparison.prompts(said["ids"])
    comparison = comparison.with_checks(
        _share("prompts_identical", said["same"], "prompts that LiteRT-LM writes exactly as they were trained"),
        _ends(said["ends"], ends),
    )
    settings = {"file": only(out, "tflite"), "ends": ends, "threads": threads(source)}
    with Remote("litert", "studio.export.targets.litert.runtime:open_tflite", settings, reporter) as model:
        result = comparison.measure(model, prompts, f"LiteRT {said['versions']}")
    return result.with_checks(_answers(said["answers"], result.samples))


def _talk(
    source: Source,
    out: Path,
    tokenizer: PreTrainedTokenizerBase,
    known: answers.Reference,
    probe: Probe,
    context: int,
    reporter: Reporter,
) -> dict[str, Any]:
    """What LiteRT-LM made of the conversations: prompts in ids (None where people wrote a control token) and whether each is
    the trained text, answers, stop sequences."""
    trained = [_trained(tokenizer, item) for item in probe.questions()]
    asked, left = [], TALKED
    for case, item, text in zip(known.cases, probe.questions(), trained, strict=True):
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


def _trained(tokenizer: PreTrainedTokenizerBase, item: Conversation) -> Rendered | None:
    """The prompt as it was trained; None for plain text."""
    from studio.data.render import check_template
    from studio.models.chat import render

    if not item.messages:
        return None
    return render(tokenizer, item.prompt, item.tools, prompt=True, guard=check_template(tokenizer).guard)


def _share(name: str, good: list[bool], explanation: str) -> Check:
    share = sum(good) / len(good) if good else 1.0
    return Check(name, share, 1.0, share == 1.0, explanation)


def _ends(answers: list[list[int]], wanted: list[int]) -> Check:
    same = sorted(answers) == sorted([token] for token in wanted)
    return Check("stops_identical", same, True, same, "LiteRT-LM stops at the end tokens that were trained, and at no other")


def _answers(said: list[str | None], samples: list[Sample]) -> Check:
    """LiteRT-LM runs the same weights by other code, so that answers may fork at near ties, but not all of them."""
    same = [text.strip() == sample.artifact.strip() for text, sample in zip(said, samples, strict=True) if text is not None]
    share = sum(same) / len(same) if same else 1.0
    explanation = f"of {len(same)} conversations answered by LiteRT-LM, those with the very answer of the .tflite's interpreter"
    return Check("litert_lm_answers", share, 0.5, share >= 0.5, explanation)
