"""Figures of a set of rows, base against tuned, each with its paired interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from studio.evaluation.answering import share
from studio.evaluation.interval import Column, Draws, Figure, Ratio, change, estimate, mean
from studio.evaluation.likelihood import Likelihood
from studio.evaluation.metrics import BYTE_PERPLEXITY, PAIR_METRICS, TEXT_METRICS
from studio.evaluation.report import Answered, Compared, ModelAnswer, Speed
from studio.evaluation.tasks.labels import MACRO_F1, MacroF1
from studio.evaluation.tasks.task import Task


@dataclass(frozen=True)
class Side:
    """What one model did on one set."""

    likelihood: Likelihood
    answers: list[Any]
    speed: Speed | None
    rejected: Likelihood | None = None
    """Of the rejected answers, where the rows are preference pairs."""
    sampled: list[float] = field(default_factory=list)
    """Mean reward of sampled answers to each question, where there is a verifier."""
    bytes: Column | None = None
    """UTF-8 bytes of each row, where all are plain texts."""


def figures(base: Side, tuned: Side, pairs: list[Answered], task: Task, resamples: int, seed: int) -> dict[str, Compared]:
    """Every figure that fits the set: those of the loss over all rows, those of answers over the answered ones."""
    all_rows = Draws(len(base.likelihood.loss), resamples, seed)
    found = {
        name: compared(_of_loss(name, base.likelihood), _of_loss(name, tuned.likelihood), all_rows)
        for name in ("loss", "perplexity", "token_accuracy")
    }
    if base.bytes is not None and tuned.bytes is not None:
        before, after = (_of_bytes(side.likelihood, side.bytes) for side in (base, tuned) if side.bytes is not None)
        found = {BYTE_PERPLEXITY: compared(before, after, all_rows)} | found
    if base.rejected is not None and tuned.rejected is not None:
        before, after = (_of_pairs(side.likelihood, side.rejected) for side in (base, tuned) if side.rejected is not None)
        found |= {name: compared(before[name], after[name], all_rows) for name in PAIR_METRICS}
    if not pairs:
        return found
    some_rows = Draws(len(pairs), resamples, seed)
    references = [pair.reference for pair in pairs]
    for name in (*task.names, *TEXT_METRICS, "answer_tokens", "stop_rate"):
        before, after = (of_answers(name, [getattr(pair, side) for pair in pairs], references) for side in ("base", "tuned"))
        found[name] = compared(before, after, some_rows)
    order = (*task.names, *TEXT_METRICS, *PAIR_METRICS, "loss", "perplexity", "token_accuracy", "answer_tokens", "stop_rate")
    return {name: found[name] for name in order if name in found}


def compared(base: Figure, tuned: Figure, draws: Draws) -> Compared:
    """Both figures and their paired change, with intervals."""
    return Compared(estimate(base, draws), estimate(tuned, draws), change(base, tuned, draws))


def _of_loss(name: str, likelihood: Likelihood) -> Ratio:
    if name == "token_accuracy":
        return Ratio(likelihood.right, likelihood.tokens, bounds=(0.0, 1.0))
    finish = (lambda loss: np.exp(np.minimum(loss, 100.0))) if name == "perplexity" else None
    return Ratio(likelihood.loss, likelihood.tokens, finish=finish)


def _of_bytes(likelihood: Likelihood, sizes: Column) -> Ratio:
    """Perplexity per byte: what a token is differs from model to model, a byte does not."""
    return Ratio(likelihood.loss, np.maximum(sizes, 1), finish=np.exp)


def _of_pairs(chosen: Likelihood, rejected: Likelihood) -> dict[str, Ratio]:
    """How often the preferred answer is the likelier one, and how likely each kind is."""
    likelier = chosen.loss / np.maximum(chosen.tokens, 1) < rejected.loss / np.maximum(rejected.tokens, 1)
    return {
        "pair_accuracy": share(likelier.astype(np.float64).tolist()),
        "logp_chosen": mean(-chosen.loss),
        "logp_rejected": mean(-rejected.loss),
    }


def of_answers(name: str, answers: Sequence[ModelAnswer], references: Sequence[str]) -> Figure:
    """One figure of answers; references: theirs, in the same order."""
    if name == MACRO_F1.name:
        return MacroF1(references, [answer.text for answer in answers])
    if name == "answer_tokens":
        return mean(np.array([answer.tokens for answer in answers], dtype=np.float64))
    if name == "stop_rate":
        return share([answer.stopped for answer in answers])
    return share([answer.scores[name] for answer in answers])
