"""A request to a model and its completion, as they are sent, cached and counted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from studio.core.messages import ChatMessage
from studio.core.records import Record
from studio.remote.structured import json_in


@dataclass(frozen=True)
class Request:
    """What a model is asked. schema: a JSON schema its answer is to match; logprobs: the likeliest tokens are wanted too."""

    messages: Sequence[ChatMessage]
    max_tokens: int
    temperature: float = 0.0
    seed: int | None = None
    schema: Mapping[str, Any] | None = None
    logprobs: bool = False

    def key(self, url: str, model: str) -> str:
        """What an answer is cached by: SHA-256 of everything that decides it. A key of the API is no part of it."""
        content = {
            "url": url,
            "model": model,
            "messages": [dict(message) for message in self.messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "schema": self.schema,
            "logprobs": self.logprobs,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    @property
    def most_prompt_tokens(self) -> int:
        """A bound on the tokens of the prompt: a token is at least one byte, and a template adds a few to each message."""
        content = [dict(message) for message in self.messages]
        schema = json.dumps(self.schema) if self.schema else ""
        return len(json.dumps(content, ensure_ascii=False).encode()) + 2 * len(schema.encode()) + 32 * len(content) + 64


class Usage(Record):
    """Tokens that were billed."""

    prompt_tokens: int
    completion_tokens: int
    """Reasoning included."""
    reasoning_tokens: int = 0
    estimated: bool = False
    """The API gave no figures: reckoned from the texts' lengths."""


class TokenChoice(Record):
    """A token of the answer and what else it might have been."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    """The likeliest tokens there with their log-probabilities, likeliest first."""


class Completion(Record):
    """A model's answer: its text, and what it took."""

    label: ClassVar[str] = "completion"
    remedy: ClassVar[str] = "Delete answers.sqlite; its answers are paid again."

    text: str
    finish_reason: str = ""
    """`stop`; `length` for an answer that was cut off; `content_filter`, `refusal`, as the API says."""
    usage: Usage
    cost: float
    """US dollars when it was bought, whether or not it comes from the cache now."""
    served_model: str = ""
    """The model's name as the API gives it, which may differ from the one asked for."""
    latency_s: float = 0.0
    top_logprobs: tuple[TokenChoice, ...] | None = None
    """One entry a token; None if they were not asked for or the API has none."""
    cached: bool = False
    """It was in the cache: nothing was sent or paid."""

    @property
    def paid(self) -> float:
        """US dollars paid now."""
        return 0.0 if self.cached else self.cost

    @property
    def complete(self) -> bool:
        """It was not cut off, filtered or refused."""
        return self.finish_reason not in ("length", "content_filter", "refusal")

    @property
    def value(self) -> Any:
        """The JSON value in the answer, without a fence or prose around it; None if there is none."""
        return json_in(self.text)
