"""Questions put to a model, its answers timed and scored. Also for answers that came from elsewhere, as text."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from studio.core.errors import DataError, StudioError
from studio.core.text import plural
from studio.data.rows import Conversation
from studio.evaluation import overlap
from studio.evaluation.interval import Draws, Estimate, Ratio, estimate, mean
from studio.evaluation.metrics import TEXT_METRICS
from studio.evaluation.report import Speed
from studio.evaluation.settings import Evaluation

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from studio.data.render import Encoded, TrainOn
    from studio.models.generation import Answer

ALONE = 5
"""Questions asked one at a time to measure latency."""

LONGEST = 1024
"""Tokens an answer may take where the settings leave it open."""


@dataclass(frozen=True)
class Question:
    """A conversation ready to be asked and scored.

    prompt: ids up to where the answer begins. ids and mask: the whole row and its reference tokens. reference: the last
    answer as text. reference_tokens: its length.
    """

    conversation: Conversation
    prompt: list[int]
    ids: Sequence[int]
    mask: Sequence[bool]
    reference: str
    reference_tokens: int
    rejected: Encoded | None = None
    """The conversation with the rejected answer, of a preference pair; of it only that answer counts."""
    bytes: int = 0
    """UTF-8 bytes of a plain text's scored tokens, without the token that ends it; 0 for a conversation."""
    longest: int | None = None
    """Tokens of a piece at most, of a text that may be read in pieces."""


def questions(
    conversations: Sequence[Conversation], tokenizer: PreTrainedTokenizerBase, train_on: TrainOn = "assistant"
) -> tuple[list[Question], list[str]]:
    """Render each conversation as it is trained and as it is asked; and `file:line: reason` for those that cannot be.

    Plain text has a reference but no prompt. The loss is taken over answers also where all tokens were trained on.
    """
    from studio.data.render import attempt_many, encode_prompt

    ready, left_out = [], []
    wanted = "assistant" if train_on == "all" else train_on
    if conversations and all(row.rejected is not None for row in conversations):
        wanted = "last_assistant"  # what is preferred is the last answer
    for row, encoded in zip(conversations, attempt_many(conversations, tokenizer, wanted), strict=True):
        if isinstance(encoded, StudioError):
            left_out.append(f"{row.file}:{row.line}: {encoded.message}")
            continue
        last = _last_run(encoded.mask)
        reference = row.answer
        if row.messages and (row.messages[-1].get("tool_calls") or not reference):
            reference = str(tokenizer.decode(encoded.ids[last], skip_special_tokens=True)).strip()  # a call as it is generated
        try:
            prompt = encode_prompt(row.prompt, tokenizer, row.tools) if row.messages else []
        except StudioError as problem:
            left_out.append(f"{row.file}:{row.line}: {problem.message}")
            continue
        other = attempt_many([row.not_preferred], tokenizer, "last_assistant")[0] if row.not_preferred else None
        other = None if isinstance(other, StudioError) else other
        size = 0 if row.messages else _bytes(encoded, tokenizer)
        ready.append(Question(row, prompt, encoded.ids, encoded.mask, reference, last.stop - last.start, other, size))
    return ready, left_out


def longest_answer(questions: Sequence[Question], settings: Evaluation, at_least_its_own: bool = False) -> int:
    """Tokens an answer may take: as set, else half as long again as the longest reference, at most 1,024.

    at_least_its_own: what is set for the held-out rows does not cut the answers of a set with longer references.
    """
    longest = max((question.reference_tokens for question in questions), default=0)
    own = min(LONGEST, max(8, longest * 3 // 2 + 1))
    if settings.max_new_tokens is None:
        return own
    return max(own, settings.max_new_tokens) if at_least_its_own else settings.max_new_tokens


def ask(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    temperature: float = 0.0,
) -> tuple[list[Answer], float]:
    """The answers to `prompts`, greedy at temperature 0, in their order, and the seconds they took. Raises as `generate`."""
    from studio.models.generation import generate

    began = time.perf_counter()
    given = generate(
        model, prompts, tokenizer, max_new_tokens, temperature=temperature, on_progress=on_progress, should_stop=should_stop
    )
    return given, time.perf_counter() - began


def answers(
    model: nn.Module, tokenizer: PreTrainedTokenizerBase, conversations: Sequence[Conversation], settings: Evaluation
) -> list[Answer]:
    """What a model on its own answers to the conversations' last questions."""
    asked, left_out = questions(conversations, tokenizer)
    if left_out:
        raise DataError(
            f"{plural(len(left_out), 'row')} cannot be asked: {left_out[0]}", hint="Correct them or leave them out."
        )
    return ask(model, tokenizer, [item.prompt for item in asked], longest_answer(asked, settings))[0]


def speed(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    pass_rate: float,
) -> Speed:
    """Latency of single answers, measured now on the model's device; pass_rate is the tokens per second of a full pass."""
    chosen = prompts[:: max(1, len(prompts) // ALONE)][:ALONE]
    taken = [ask(model, tokenizer, [prompt], max_new_tokens)[1] for prompt in chosen]
    return Speed(statistics.median(taken), min(taken), max(taken), len(taken), pass_rate)


def text_scores(reference: str, answer: str) -> dict[str, float]:
    """Each text metric of one answer, 0 to 1."""
    return {name: getattr(overlap, name)(reference, answer) for name in TEXT_METRICS}


def score_answers(
    references: Sequence[str], answers: Sequence[str], *, resamples: int = 1000, seed: int = 0
) -> dict[str, Estimate]:
    """Exact match, normalised match, token F1 and ROUGE-L of answers from anywhere, e.g. from an exported model.

    Raises DataError if the two lists differ in length or are empty.
    """
    if not references or len(references) != len(answers):
        raise DataError(
            f"there are {len(references)} references and {len(answers)} answers", hint="Give one answer to each reference."
        )
    rows = [text_scores(reference, answer) for reference, answer in zip(references, answers, strict=True)]
    draws = Draws(len(rows), resamples, seed)
    return {name: estimate(share([row[name] for row in rows]), draws) for name in TEXT_METRICS}


def share(values: Sequence[float]) -> Ratio:
    """The mean of values from 0 to 1."""
    return mean(np.asarray(values, dtype=np.float64), bounds=(0.0, 1.0))


def _bytes(text: Encoded, tokenizer: PreTrainedTokenizerBase) -> int:
    """Bytes of the tokens of a text that have something before them; one that ends it has none."""
    first = max(1, text.mask.index(True)) if any(text.mask[1:]) else len(text.mask)
    if first >= len(text.ids):
        return 0
    end = text.starts[-1] if text.ids[-1] == tokenizer.eos_token_id else len(text.text)
    return len(text.text[text.starts[first] : end].encode("utf-8", "replace"))


def _last_run(mask: list[bool]) -> slice:
    """The last stretch of marked tokens."""
    end = len(mask)
    while end and not mask[end - 1]:
        end -= 1
    start = end
    while start and mask[start - 1]:
        start -= 1
    return slice(start, end)
