"""What a server allows: lengths, numbers at once, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Every limit is told in the error that it causes."""

    context: int | None = None
    """Tokens of prompt and answer together, per request. None: what the model was made for."""
    tokens: int = 2048
    """Longest answer, and the answer's limit where a request names none."""
    concurrency: int = 16
    """Answers written at once, per loaded base model; the others wait in the queue."""
    queue: int = 256
    """Answers that may wait, per loaded base model; a request beyond that is refused with 429."""
    body: int = 4 << 20
    """Bytes of one request."""
    choices: int = 16
    """Most answers one request may ask for: its prompts times its `n`."""
    top_logprobs: int = 20
    """Most alternatives told per token."""
    temperature: float = 0.0
    """Where a request names none: 0 gives the likeliest answer, the one that the run's evidence was measured on."""
    drain: float = 20.0
    """Seconds that answers under way may take after the server was asked to end."""
