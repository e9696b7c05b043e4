"""The reward of answers by the verifier of the data, greedy and sampled, beside a control score that is never rewarded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.data.settings import Data
from studio.data.verifiers import Message, Verifier
from studio.data.verifiers.exact import Exact
from studio.data.verifiers.likeness import Likeness
from studio.evaluation.answering import share
from studio.evaluation.interval import Draws, change, estimate
from studio.evaluation.report import Answered, Compared

if TYPE_CHECKING:
    from studio.models.generation import Answer

SAMPLES = 4
"""Answers at temperature 1 to each question: what a method that samples has to work with."""
REWARD, SAMPLED, CONTROL = "reward", "reward_sampled", "control"


@dataclass(frozen=True)
class Rules:
    """How answers are scored."""

    verifier: Verifier
    control: Verifier

    @classmethod
    def of(cls, data: Data) -> Rules | None:
        """The rules of the data section; None where it names no verifier."""
        if data.verifier is None:
            return None
        return cls(data.verifier, data.control or (Exact() if data.verifier.kind == "likeness" else Likeness()))

    def scores(self, answer: Answer, expected: Message) -> dict[str, float]:
        """Reward and control of one answer. One that did not end by itself has no reward, as in training."""
        reward = self.verifier.score(answer.text, expected) if answer.stopped else 0.0
        return {REWARD: reward, CONTROL: self.control.score(answer.text, expected)}


def sampled(
    rules: Rules,
    generate: Callable[[list[list[int]]], Sequence[Any]],
    prompts: Sequence[list[int]],
    expected: Sequence[Message],
) -> list[float]:
    """The mean reward of some sampled answers to each prompt."""
    answers = generate([prompt for prompt in prompts for _ in range(SAMPLES)])
    rewards = [rules.scores(answer, expected[index // SAMPLES])[REWARD] for index, answer in enumerate(answers)]
    return np.array(rewards).reshape(-1, SAMPLES).mean(axis=1).tolist()


def figures(
    pairs: Sequence[Answered], before: Sequence[float], after: Sequence[float], resamples: int, seed: int
) -> dict[str, Compared]:
    """Reward of the greedy answers, mean reward of the sampled ones (before and after, one a question), and the control."""
    draws = Draws(len(pairs), resamples, seed)
    found = {}
    for name in (REWARD, SAMPLED, CONTROL):
        base, tuned = (
            share(values if name == SAMPLED else [getattr(pair, side).scores[name] for pair in pairs])
            for side, values in (("base", before), ("tuned", after))
        )
        found[name] = Compared(estimate(base, draws), estimate(tuned, draws), change(base, tuned, draws))
    return found
