"""One model's side of a comparison: the likelihood of the references, its answers, and how fast they came."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.errors import Stopped
from studio.core.text import count
from studio.evaluation import reward
from studio.evaluation.answering import Question, ask, speed
from studio.evaluation.figures import Side
from studio.evaluation.likelihood import likelihood
from studio.evaluation.reading import read, sizes
from studio.evaluation.reward import Rules
from studio.evaluation.sets import QuestionSet
from studio.evaluation.settings import Evaluation
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase


def one_side(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    questions: list[Question],
    answered: list[int],
    longest: int,
    watch: SetProgress,
    what: str,
    rules: Rules | None = None,
) -> Side:
    """What a model makes of `questions`; answered: the indices of those it answers, with `longest` tokens at most."""
    loss = read(model, questions, lambda rows: watch.done(rows, f"loss of {what}"))
    others = [encoded for item in questions if (encoded := item.rejected) is not None]
    rejected = likelihood(model, [(item.ids, item.mask) for item in others]) if len(others) == len(questions) else None
    if not answered:
        return Side(loss, [], None, rejected, bytes=sizes(questions))
    prompts = [questions[place].prompt for place in answered]
    before = watch.so_far
    given, seconds = ask(
        model,
        tokenizer,
        prompts,
        longest,
        on_progress=lambda done, _: watch.done(before + done - watch.so_far, f"answers of {what}"),
        should_stop=watch.reporter.should_stop,
    )
    sampled: list[float] = []
    if rules:
        write = partial(ask, model, tokenizer, max_new_tokens=longest, should_stop=watch.reporter.should_stop, temperature=1.0)
        messages = [questions[place].conversation.messages[-1] for place in answered]
        sampled = reward.sampled(rules, lambda prompts: write(prompts)[0], prompts, messages)
    if watch.timed(what):
        return Side(loss, given, None, rejected, sampled)
    rate = sum(answer.tokens for answer in given) / max(seconds, 1e-9)
    return Side(loss, given, speed(model, tokenizer, prompts, longest, rate), rejected, sampled)


def fitting(questions: list[Question], limit: int | None) -> tuple[list[Question], list[str]]:
    """The rows that can be measured, and the others with their reasons. Texts of any length can, in pieces."""
    kept, left_out = [], []
    for item in questions:
        where = f"{item.conversation.file}:{item.conversation.line}"
        if limit and len(item.ids) > limit and not item.bytes:
            left_out.append(f"{where}: {count(len(item.ids))} tokens, the limit is {count(limit)}")
        elif not any(item.mask[1:]):
            left_out.append(f"{where}: no token of it is an answer")
        else:
            kept.append(replace(item, longest=limit) if item.bytes else item)
    return kept, left_out


def drawn(indices: list[int], wanted: int, seed: int) -> list[int]:
    """At most `wanted` of them, drawn by the seed, in their order."""
    if len(indices) <= wanted:
        return indices
    return sorted(np.random.default_rng(seed).choice(indices, wanted, replace=False).tolist())


def adapter_off(model: Any) -> contextlib.AbstractContextManager[Any]:
    """The base alone."""
    return model.disable_adapter()


def limit(model: Any) -> int | None:
    """Tokens the model can read; None if its config does not say."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def device(model: Any) -> str:
    """What the model runs on, in words."""
    import platform

    import torch

    if model.device.type == "cuda":
        return torch.cuda.get_device_name(model.device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''})"


class SetProgress:
    """Progress over all sets, the wish to stop, and which passes were timed already."""

    def __init__(self, reporter: Reporter, sets: Sequence[QuestionSet], settings: Evaluation) -> None:
        self.reporter = reporter
        self.total = sum(2 * len(item.rows) + 2 * min(len(item.rows), settings.max_rows) for item in sets)
        self.so_far = 0
        self._timed: set[str] = set()

    def done(self, rows: int, what: str) -> None:
        """Tell how far we are; raise Stopped if someone asked for it."""
        self.so_far += rows
        self.reporter.progress(self.so_far, self.total, what)
        if self.reporter.should_stop():
            raise Stopped

    def timed(self, what: str) -> bool:
        """True if this side was timed before: one set is enough."""
        side = what.split()[0]
        seen = side in self._timed
        self._timed.add(side)
        return seen
