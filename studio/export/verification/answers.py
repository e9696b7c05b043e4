"""Asking a model the probe: what base + adapter answer (the reference), and how near another runtime comes to it.

A runtime is whatever can give logits for tokens and continue a prompt greedily: transformers here, llama.cpp in
`export.llamacpp`. The reference goes through the very code that evaluation uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from studio.data.rows import Conversation
from studio.export.verification.result import Sample
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

KEPT = 1024
"""Of each reference distribution the likeliest tokens are kept and the rest is one more outcome: KL is then a lower
bound (the data-processing inequality), exact for small vocabularies, and near the whole else."""
POSITIONS = 256
"""At most so many answer tokens of one conversation are compared."""
LONGEST_PROMPT = 2048
"""Prompts are cut to their last so many tokens, which bounds memory and time in every runtime alike."""
LONGEST_ANSWER = 128
"""Greedy answers are at most this long."""


TIE = 0.1
"""Two tokens whose log-probabilities differ by less nats are a tie: which is chosen is a matter of rounding."""


class Runtime(Protocol):
    """Something that answers."""

    def logits(self, ids: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        """Logits after the tokens at `positions` of one sequence; float32 [positions, vocabulary]."""
        ...

    def greedy(self, prompts: Sequence[Sequence[int]], longest: int) -> list[tuple[list[int], bool]]:
        """Each prompt's greedy continuation without its end token, and whether it ended by itself."""
        ...


@dataclass(frozen=True)
class Case:
    """One probe conversation in tokens. prompt: ids up to the answer; ids: with the answer; positions: those whose next
    token is an answer's (its end token included)."""

    shown: str
    prompt: list[int]
    ids: list[int]
    positions: list[int]


@dataclass(frozen=True)
class Answer:
    """A greedy answer."""

    ids: list[int]
    text: str
    ended: bool


@dataclass(frozen=True)
class Forced:
    """What a model expects at the answer tokens of each case, teacher-forced.

    tokens, logp: per case int32 / float32 [positions, KEPT], the likeliest tokens and their log-probabilities.
    """

    tokens: list[np.ndarray]
    logp: list[np.ndarray]


@dataclass(frozen=True)
class Reference:
    """What base + adapter say. effect: mean KL of the untuned base to it, the scale on which differences are judged."""

    cases: list[Case]
    forced: Forced
    answers: list[Answer]
    effect: float
    evidence_tokens: int = 0
    """Tokens the run's evidence takes, which is asked of the same runtime."""

    @property
    def longest(self) -> int:
        """Tokens a runtime must hold for the longest case and its answer, and for the evidence."""
        return max(self.evidence_tokens, *(max(len(case.ids), len(case.prompt) + LONGEST_ANSWER) for case in self.cases)) + 1


@dataclass(frozen=True)
class Distance:
    """How far another model's expectations are: KL per answer token in nats (mean, 99th percentile), shares of 1."""

    kl: float
    p99: float
    top1: float
    positions: int


def case(conversation: Conversation, tokenizer: PreTrainedTokenizerBase) -> Case:
    """The conversation as tokens, exactly as training and evaluation encode it."""
    from studio.data import render

    if not conversation.messages:
        ids = list(render.encode(conversation, tokenizer).ids)[: LONGEST_PROMPT + POSITIONS]
        half = max(1, len(ids) // 2)
        return Case(conversation.text, ids[:half], ids, list(range(half - 1, len(ids) - 1)))
    prompt = list(render.encode_prompt(conversation.prompt, tokenizer, conversation.tools))
    shown = str(conversation.prompt[-1].get("content") or "") if conversation.prompt else ""
    if not conversation.answer and not conversation.messages[-1].get("tool_calls"):
        return Case(shown, prompt, prompt, [])  # no answer is known; the reference's own one takes its place
    encoded = render.encode(conversation, tokenizer, "last_assistant")
    positions = [place for place in range(len(encoded.ids) - 1) if encoded.mask[place + 1]]
    return _shortened(Case(shown, prompt, list(encoded.ids), positions))


def ask(
    runtime: Runtime, base: Runtime, cases: Sequence[Case], tokenizer: PreTrainedTokenizerBase, reporter: Reporter
) -> Reference:
    """What `runtime` says to the cases, as a reference for others. base: the same model with its adapter switched off."""
    answers = answer(runtime, cases, tokenizer)
    asked = [_with_own_answer(item, said) for item, said in zip(cases, answers, strict=True)]
    known = forced(runtime, asked, reporter)
    return Reference(asked, known, answers, distances([known], base, asked, reporter)[0].kl)


def answer(runtime: Runtime, cases: Sequence[Case], tokenizer: PreTrainedTokenizerBase) -> list[Answer]:
    """The runtime's greedy answers."""
    said = runtime.greedy([item.prompt for item in cases], LONGEST_ANSWER)
    return [Answer(ids, str(tokenizer.decode(ids, skip_special_tokens=True)), ended) for ids, ended in said]


def forced(runtime: Runtime, cases: Sequence[Case], reporter: Reporter) -> Forced:
    """What the runtime expects at every answer token."""
    tokens, logp = [], []
    for done, item in enumerate(cases):
        likely = log_softmax(runtime.logits(item.ids, item.positions))
        order = _most_likely(likely)
        tokens.append(order)
        logp.append(np.take_along_axis(likely, order, -1).astype(np.float32))
        reporter.progress(done + 1, len(cases), "asking the reference")
    return Forced(tokens, logp)


def _most_likely(likely: np.ndarray) -> np.ndarray:
    """The `KEPT` most likely tokens at each position, most likely first: int32 [positions, KEPT]. Only they are sorted."""
    most = np.argpartition(likely, -KEPT, axis=-1)[:, -KEPT:] if likely.shape[-1] > KEPT else np.argsort(likely, axis=-1)
    order = np.argsort(-np.take_along_axis(likely, most, -1), axis=-1)
    return np.take_along_axis(most, order, -1).astype(np.int32)


def distances(known: Sequence[Forced], runtime: Runtime, cases: Sequence[Case], reporter: Reporter) -> list[Distance]:
    """How far `runtime` is from each of several models' expectations, on the same tokens, in one pass."""
    kls: list[list[np.ndarray]] = [[] for _ in known]
    same: list[list[np.ndarray]] = [[] for _ in known]
    for done, item in enumerate(cases):
        likely = log_softmax(runtime.logits(item.ids, item.positions))
        for place, model in enumerate(known):
            kls[place].append(divergence(model.tokens[done], model.logp[done], likely))
            same[place].append(agrees(model.tokens[done], model.logp[done], likely))
        reporter.progress(done + 1, len(cases), "comparing with the reference")
    return [
        Distance(float(kl.mean()), float(np.quantile(kl, 0.99)), float(np.mean(np.concatenate(top))), len(kl))
        for kl, top in zip((np.concatenate(kl) for kl in kls), same, strict=True)
    ]


def agrees(tokens: np.ndarray, logp: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where the other model's likeliest token is the reference's too, or as good as tied with it; bool [positions]."""
    tied = (logp >= logp[:, :1] - TIE) & (tokens == other.argmax(-1)[:, None])
    return tied.any(-1)


def side_by_side(reference: Reference, answers: Sequence[Answer]) -> list[Sample]:
    """The reference's greedy answers beside another runtime's."""
    return [
        Sample(item.shown, known.text, said.text, known.ids == said.ids, known.ended, said.ended)
        for item, known, said in zip(reference.cases, reference.answers, answers, strict=True)
    ]


def divergence(tokens: np.ndarray, logp: np.ndarray, other: np.ndarray) -> np.ndarray:
    """KL(reference || other) of each position in nats, float64 [positions].

    tokens, logp [positions, KEPT] are the reference's likeliest tokens; all others count as one outcome.
    other [positions, vocabulary] are log-probabilities; a runtime may pad the vocabulary, never shorten it.
    """
    if tokens.size and tokens.max() >= other.shape[-1]:
        return np.full(len(tokens), np.inf)
    log_p, log_q = logp.astype(np.float64), np.take_along_axis(other, tokens, -1).astype(np.float64)
    p = np.exp(log_p)
    kl = (p * (log_p - log_q)).sum(-1)
    rest_p, rest_q = 1 - p.sum(-1), np.maximum(1 - np.exp(log_q).sum(-1), 1e-12)
    counted = rest_p > 1e-6  # below that it is rounding
    kl[counted] += rest_p[counted] * np.log(rest_p[counted] / rest_q[counted])
    return np.maximum(kl, 0)


def surprise(logits: np.ndarray, tokens: Sequence[int]) -> float:
    """Mean negative log-likelihood of `tokens` in nats; logits are [len(tokens), vocabulary]."""
    likely = log_softmax(logits)
    return -float(np.mean(likely[np.arange(len(tokens)), list(tokens)], dtype=np.float64))


class Transformers:
    """A transformers model as a runtime."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer

    def logits(self, ids: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        """Logits after the tokens at `positions`, float32 [positions, vocabulary]."""
        import torch

        device = self.model.get_input_embeddings().weight.device
        with torch.inference_mode():
            wanted = torch.tensor(list(positions), device=device)
            rows = self.model(torch.tensor([list(ids)], device=device), logits_to_keep=wanted, use_cache=False).logits[0]
        return rows.float().cpu().numpy()

    def greedy(self, prompts: Sequence[Sequence[int]], longest: int) -> list[tuple[list[int], bool]]:
        """The greedy continuations, by the code that evaluation generates with."""
        from studio.models import generation

        answers = generation.generate(self.model, prompts, self.tokenizer, longest)
        return [(answer.ids, answer.stopped) for answer in answers]


class Untuned(Transformers):
    """The same PEFT model with its adapter switched off."""

    def logits(self, ids: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        """Logits of the base."""
        with self.model.disable_adapter():
            return super().logits(ids, positions)

    def greedy(self, prompts: Sequence[Sequence[int]], longest: int) -> list[tuple[list[int], bool]]:
        """The continuations of the base."""
        with self.model.disable_adapter():
            return super().greedy(prompts, longest)


def _with_own_answer(item: Case, said: Answer) -> Case:
    """The case; where no answer is known, with the reference's own."""
    if item.positions:
        return item
    first = len(item.prompt) - 1
    return replace(item, ids=[*item.prompt, *said.ids], positions=list(range(first, first + len(said.ids) + 1)))


def _shortened(item: Case) -> Case:
    """The case with its prompt and answer cut to what is compared; the end of the answer is kept."""
    dropped = max(0, len(item.prompt) - LONGEST_PROMPT)
    positions = item.positions[:POSITIONS]
    end = positions[-1] + 2 if positions else len(item.ids)
    return Case(item.shown, item.prompt[dropped:], item.ids[dropped:end], [place - dropped for place in positions])


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities in nats, in the numbers that the logits are in; [..., vocabulary]."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True, dtype=np.float64)).astype(logits.dtype)
