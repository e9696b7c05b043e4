"""What a server allows: lengths, numbers at once, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_TOKENS = 2048
"""Tokens of an answer whose request names no limit: a model that does not end would write to the end of its context."""


@dataclass(frozen=True)
class Limits:
    """Every limit is named in the error that it causes."""

    context: int | None = None
    """Tokens of prompt and answer together, per request. None: what the model was made for."""
    tokens: int | None = None
    """Longest answer a request may ask for. None: as long as the context allows."""
    concurrency: int = 16
    """Answers written at once, per loaded base model; the others wait in the queue."""
    queue: int = 256
    """Answers that may wait, per loaded base model; a request beyond that is refused with 429."""
    body: int = 4 << 20
    """Bytes of one request."""
    body_seconds: float = 30.0
    """Seconds a client may be silent while it sends a request."""
    messages: int = 2048
    """Most messages of one request: each costs time in the chat template, whatever its length."""
    choices: int = 128
    """Most answers one request may ask for: its prompts times its `n`."""
    top_logprobs: int = 20
    """Most alternatives listed per token."""
    temperature: float = 0.0
    """Where a request names none: 0 gives the likeliest answer, the one that the run's evidence was measured on."""
    drain: float = 20.0
    """Seconds that answers under way may take after the server was asked to end."""

    @property
    def default_tokens(self) -> int:
        """The limit of an answer whose request names none."""
        return min(DEFAULT_TOKENS, self.tokens or DEFAULT_TOKENS)
