"""Rollouts: in every step the model answers prompts itself, a verifier scores the answers, and those become the batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from studio.core import events
from studio.core.errors import Stopped, TrainingError
from studio.core.text import count, plural
from studio.data.verifiers import Message
from studio.models.generation import MANY, Answer, answer_of, generate, stop_ids
from studio.training import adapters, guards
from studio.training.batches import Batch, Tokens
from studio.training.loop import StepData
from studio.training.methods.grpo import Grpo
from studio.training.modes import evaluating
from studio.training.sampled import Sampled, SamplingEngine
from studio.training.totals import Totals

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from studio.tracking.reporter import Reporter
    from studio.training.loss_model import LossModel

PROBED = 32
"""Prompts that are answered before the run to see whether there is anything to learn."""
CUT = 0.2
"""Share of answers that do not end by themselves from which a person is warned."""


@dataclass(frozen=True)
class Scores:
    """Scores of answers, float64 [answers]: the reward, the control, and whether each was cut and how long it was."""

    reward: np.ndarray
    control: np.ndarray
    cut: np.ndarray
    tokens: np.ndarray


class Rollouts:
    """Batches of sampled answers. Everything random follows from the seed and the step, so that a resumed run repeats it."""

    def __init__(self, loss_model: LossModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """loss_model must stand as the run begins: it is what a divergence is measured from."""
        job = loss_model.job
        assert job.verification is not None  # checked by the guards
        self.loss_model, self.tokenizer, self.job, self.rules = loss_model, tokenizer, job, job.verification
        self.method = cast(Grpo, job.training.method)
        self.longest = self.method.max_new_tokens or 256
        weights = [each for each in loss_model.model.parameters() if each.requires_grad]
        self.start = [(each, each.detach().clone()) for each in weights] if self.method.beta else []

    def step(self, number: int, rows: Sequence[int]) -> StepData:
        """Answers to the prompts of these rows, scored; groups whose answers all score alike teach nothing and are left out."""
        prompts = [_prompt(self.job.train, row) for row in rows for _ in range(self.method.group)]
        began = time.perf_counter()
        answers = self.sample(prompts, self._seed(number))
        taken = time.perf_counter() - began
        scores = self.scores(answers, [self.rules.train[row] for row in rows for _ in range(self.method.group)])
        advantages, signal = relative(scores.reward, self.method.group, self.method.scale)
        chosen = np.flatnonzero(np.repeat(signal, self.method.group) | bool(self.method.beta))
        sampled = _sampled([prompts[at] for at in chosen], [answers[at] for at in chosen], advantages[chosen])
        if self.start and len(chosen):
            sampled = replace(sampled, reference_losses=self._before(sampled))
        totals = Totals(len(answers), int(scores.tokens.sum()), int(scores.tokens.sum()), len(answers), sampled.trained)
        figures = {**_figures(scores), "signal": float(signal.mean())}
        figures["generated_per_second"] = float(scores.tokens.sum() / max(taken, 1e-9))
        return StepData(sampled, replace(self._batch(sampled), totals=totals), self._on_device(figures))

    def held_out_loss(self, reporter: Reporter) -> tuple[float, dict[str, float]]:
        """One less the mean reward of greedy answers to held-out prompts, and the figures of those answers."""
        assert self.job.held_out is not None  # or it is not asked for
        total = len(self.job.held_out)
        rows = np.random.default_rng(self.job.training.seed).permutation(total)[: self.method.watched].tolist()
        answers = self.sample([_prompt(self.job.held_out, row) for row in rows], 0, 0.0, reporter)
        figures = _figures(self.scores(answers, [self.rules.held_out[row] for row in rows]))
        return 1 - figures["reward"], figures

    def check_base(self, reporter: Reporter) -> None:
        """Raise TrainingError where the model's answers before training leave nothing to learn, with the reason."""
        rows = np.random.default_rng(self.job.training.seed).permutation(len(self.job.train))[:PROBED].tolist()
        group = self.method.group
        prompts = [_prompt(self.job.train, row) for row in rows for _ in range(group)]
        answers = self.sample(prompts, self._seed(0), reporter=reporter)
        scores = self.scores(answers, [self.rules.train[row] for row in rows for _ in range(group)])
        _, signal = relative(scores.reward, group, self.method.scale)
        sampled = f"{plural(len(answers), 'sampled answer')} to {plural(len(rows), 'prompt')}"
        if not signal.any():
            raise _nothing_to_learn(scores, sampled, self.rules.verifier.kind, answers, self.longest)
        message = (
            f"before training: mean reward {scores.reward.mean():.2f} of {sampled}; in {signal.mean():.0%} of the groups some "
            "answers score better than others, and only those teach"
        )
        reporter.event(events.Note(message=message))
        if self.job.engine is not None:
            self._check_engine(prompts, answers, reporter)
        if scores.cut.mean() > CUT:
            message = (
                f"{scores.cut.mean():.0%} of the sampled answers do not end within {count(self.longest)} tokens and score 0"
            )
            hint = "Raise training.method.max_new_tokens, or train on answers first (sft), which teaches where to end."
            reporter.event(events.Warning(message=message, hint=hint))

    def sample(
        self, prompts: list[list[int]], seed: int, temperature: float = 1.0, reporter: Reporter | None = None
    ) -> list[Answer]:
        """An answer to each prompt by the weights as they are; greedy at temperature 0. Raises Stopped."""

        def follow(done: int, total: int) -> None:
            if reporter is not None:
                reporter.progress(done, total, "answer generated")
                if reporter.should_stop():
                    raise Stopped

        if self.job.engine is not None:
            return self._by_engine(self.job.engine, prompts, seed, temperature, follow)
        with self.loss_model.answering() as model:
            return generate(model, prompts, self.tokenizer, self.longest, MANY, temperature, seed=seed, on_progress=follow)

    def _by_engine(
        self,
        engine: SamplingEngine,
        prompts: list[list[int]],
        seed: int,
        temperature: float,
        follow: Callable[[int, int], None],
    ) -> list[Answer]:
        """The same written by another engine, which reads the adapter as it is now. Each answer has a seed of its own, so that
        no two of a run draw the same numbers."""
        folder = engine.new_folder()
        with guards.disk_errors("The adapter that vLLM reads", folder):
            adapters.write(self.loss_model.model, folder)
        ends = stop_ids(self.tokenizer, self.loss_model.base)
        seeds = np.random.SeedSequence(seed).generate_state(len(prompts)).tolist()
        answers: list[Answer] = []
        for first in range(0, len(prompts), MANY):
            part = slice(first, first + MANY)
            found = engine.sample(prompts[part], ends, self.longest, temperature, seeds[part])
            answers += [replace(answer_of(ids, self.tokenizer, set(ends)), logps=tuple(logps)) for ids, logps in found]
            follow(len(answers), len(prompts))
        return answers

    def scores(self, answers: Sequence[Answer], expected: Sequence[Message]) -> Scores:
        """The answers' scores. One that does not end by itself scores 0."""
        cut = np.array([not answer.stopped for answer in answers])
        pairs = list(zip(answers, expected, strict=True))
        reward, control = (
            np.array([rule.score(answer.text, message) for answer, message in pairs])
            for rule in (self.rules.verifier, self.rules.control)
        )
        return Scores(np.where(cut, 0.0, reward), control, cut, np.array([answer.tokens for answer in answers]))

    def _seed(self, step: int) -> int:
        return (self.job.training.seed * 1_000_003 + step) % (2**31)

    def _batch(self, sampled: Sampled) -> Batch:
        if not len(sampled):
            return Batch((), Totals(0, 0, 0, 0), 0)
        return self.loss_model.batch(sampled, range(len(sampled)))

    def _check_engine(self, prompts: list[list[int]], answers: list[Answer], reporter: Reporter) -> None:
        """Raise TrainingError if the engine's probabilities are those of another model: no weighing would make up for it."""
        sampled = _sampled(prompts, answers, np.zeros(len(answers)))
        gap = float(np.abs(np.concatenate(self._losses(sampled)) - np.concatenate(sampled.sampler_losses)).mean())
        guards.check_sampler_gap(gap, "before training")
        reporter.event(
            events.Note(message=f"vLLM writes the answers; its log p is {gap:.2g} a token away from the model's own")
        )

    def _losses(self, sampled: Sampled) -> list[np.ndarray]:
        """-log p of each answer's tokens by the model as it is."""
        found: list[np.ndarray] = [np.empty(0, np.float32)] * len(sampled)
        with evaluating(self.loss_model.model):
            for micro in self._batch(sampled).micro_batches:
                losses = self.loss_model.token_losses(micro).cpu().numpy()
                for number, part in zip(micro.numbers, np.split(losses, np.cumsum(micro.scored_in_rows)[:-1]), strict=True):
                    found[number] = part
        return found

    def _before(self, sampled: Sampled) -> list[np.ndarray]:
        """-log p of each answer's tokens by the adapter as it started."""
        now = [weights.data for weights, _ in self.start]
        try:
            for weights, first in self.start:
                weights.data = first
            return self._losses(sampled)
        finally:
            for (weights, _), values in zip(self.start, now, strict=True):
                weights.data = values

    def _on_device(self, figures: dict[str, float]) -> dict[str, Any]:
        import torch

        return {name: torch.tensor(value, device=self.job.device) for name, value in figures.items()}


def relative(rewards: np.ndarray, group: int, scale: str) -> tuple[np.ndarray, np.ndarray]:
    """Advantages of answers in groups, float64 [answers], and whether each group has any, bool [groups].

    The reward less its group's mean; scale: divided by the deviation within the `group`, over the `batch`, or by `none`.
    """
    groups = rewards.reshape(-1, group)
    signal = np.ptp(groups, axis=1) > 1e-9
    centred = groups - groups.mean(axis=1, keepdims=True)
    if scale == "group":
        centred = centred / (groups.std(axis=1, ddof=1, keepdims=True) + 1e-4)
    elif scale == "batch":
        centred = centred / (rewards.std(ddof=1) + 1e-4)
    return np.where(signal[:, None], centred, 0.0).reshape(-1), signal


def _prompt(tokens: Tokens, row: int) -> list[int]:
    """What stands before the first trained token of a row."""
    ids, mask = tokens[row]
    return np.asarray(ids[: int(np.argmax(mask))]).tolist()


def _sampled(prompts: Sequence[list[int]], answers: Sequence[Answer], advantages: np.ndarray) -> Sampled:
    apart = [-np.array(answer.logps, dtype=np.float32) for answer in answers] if any(answer.logps for answer in answers) else []
    sequences = [_sequence(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
    return Sampled(sequences, advantages.astype(np.float32), sampler_losses=apart)


def _sequence(prompt: list[int], answer: Answer) -> tuple[np.ndarray, np.ndarray]:
    ids = [*prompt, *answer.ids, *([] if answer.end is None else [answer.end])]
    return np.array(ids, dtype=np.int32), (np.arange(len(ids)) >= len(prompt)).astype(np.uint8)


def _figures(scores: Scores) -> dict[str, float]:
    return {
        "reward": float(scores.reward.mean()),
        "control": float(scores.control.mean()),
        "cut": float(scores.cut.mean()),
        "answer_tokens": float(scores.tokens.mean()),
    }


def _nothing_to_learn(scores: Scores, sampled: str, verifier: str, answers: Sequence[Answer], longest: int) -> TrainingError:
    example = f" The first was: {answers[0].text[:80]!r}." if answers else ""
    if scores.cut.all():
        return TrainingError(
            f"none of {sampled} ends within {count(longest)} tokens, and an unfinished answer scores 0: nothing can be learned",
            hint=f"Raise training.method.max_new_tokens, or train on answers first (sft).{example}",
            where="training.method.max_new_tokens",
        )
    if scores.reward.max() <= 0:
        return TrainingError(
            f"none of {sampled} scores above 0 by the verifier `{verifier}`: what the model cannot do at all, rewards do not "
            "teach",
            hint="Train on answers first (sft) and continue that adapter with adapter.start_from, or choose a verifier that "
            f"gives part of the score for part of the answer.{example}",
            where="data.verifier",
        )
    if scores.reward.min() >= 1:
        return TrainingError(
            f"all of {sampled} score 1 by the verifier `{verifier}` before any training: there is nothing left to learn",
            hint="Give harder prompts, or a stricter verifier.",
            where="data.verifier",
        )
    return TrainingError(
        f"in every group of {sampled} all answers score alike: none is better than another, so nothing can be learned",
        hint="Raise training.method.group, or choose a verifier with finer scores.",
        where="data.verifier",
    )
