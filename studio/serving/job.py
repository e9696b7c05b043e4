"""A job: one answer to be written to one prompt. A request makes one per choice; the scheduler advances them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from studio.serving.constraint import Constraint
from studio.serving.errors import ApiError
from studio.serving.writing import Writer

Finish = Literal["stop", "length"]


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen. temperature 0: the likeliest."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    top_k: int = 0
    """Only the k likeliest tokens; 0 for all."""
    min_p: float = 0.0
    """Only tokens at least this share as likely as the likeliest (Nguyen et al. 2024)."""
    repetition: float = 1.0
    """Divides positive and multiplies negative logits of every token of prompt and answer (Keskar et al. 2019)."""
    presence: float = 0.0
    """Taken off the logits of every token written before (OpenAI's `presence_penalty`)."""
    frequency: float = 0.0
    """The same for each time it was written (OpenAI's `frequency_penalty`)."""
    bias: Mapping[int, float] = field(default_factory=dict)
    """Added to logits, by token id."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token with its log-probability (natural, of the model itself: before temperature and constraints)."""

    token: int
    logprob: float | None
    """None for a prompt's first token, which nothing predicts."""
    top: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens at this position, best first."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What was written since the last piece. The last one has `finish`, or `error`."""

    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    prompt_logprobs: tuple[TokenLogprob, ...] = ()
    finish: Finish | None = None
    error: ApiError | None = None
    tokens: int = 0
    """Tokens written so far, the end-of-turn token included."""

    @property
    def last(self) -> bool:
        """True if nothing follows."""
        return self.finish is not None or self.error is not None


@dataclass(eq=False)
class Job:
    """One answer under way. Everything but `cancelled` belongs to the scheduler's thread once it was submitted."""

    variant: str
    """Which of the engine's models: an adapter's name, or nothing for the base."""
    prompt: list[int]
    token_limit: int
    """Most tokens to write."""
    writer: Writer
    ends: frozenset[int]
    """Tokens that end the answer."""
    sampling: Sampling = field(default_factory=Sampling)
    constraint: Constraint | None = None
    logprobs: int | None = None
    """How many alternatives to tell per token; None tells nothing."""
    prompt_logprobs: bool = False
    receive: Callable[[Piece], None] = lambda piece: None
    """Where its pieces go; called by whoever the scheduler hands them to."""
    client: str = ""
    """Who asks: clients take turns in the queue."""
    cancelled: bool = False
    written: list[int] = field(default_factory=list)
    state: Any = None
    """What the engine keeps for it."""

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.sampling.seed)

    @property
    def plain(self) -> bool:
        """True if the next token can be chosen from the logits as they are."""
        sampling = self.sampling
        adjusted = sampling.presence or sampling.frequency or sampling.bias or sampling.repetition != 1.0
        cut = sampling.temperature > 0 and (sampling.top_k or sampling.min_p)
        return self.constraint is None and self.logprobs is None and not adjusted and not cut
