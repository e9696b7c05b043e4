"""What the scheduler asks of an engine, and what the server asks of the words of a model.

An engine holds one set of weights in one thread. It turns prompts into logits; choosing tokens is `sampling.choose`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from studio.serving.constraint import Constraint
from studio.serving.job import Job, Told


class Engine(Protocol):
    """Weights that answer. Every method but the attributes runs in the scheduler's thread alone."""

    name: str
    """`transformers` or `llama.cpp`."""
    context: int
    """Tokens of prompt and answer together."""

    def load(self) -> None:
        """Bring the weights into memory. Raises StudioError."""
        ...

    def begin(self, job: Job) -> tuple[int, Told | None]:
        """Read a job's prompt and choose its first token. With `prompt_logprobs`, the prompt's are put into `job.state`."""
        ...

    def advance(self, jobs: Sequence[Job]) -> list[tuple[int, Told | None]]:
        """The next token of each of some jobs of one variant, each having written at least one."""
        ...

    def prompt_told(self, job: Job) -> tuple[Told, ...]:
        """The prompt's tokens with their log-probabilities, where they were asked for."""
        ...

    def end(self, job: Job) -> None:
        """Forget what is kept for a job."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


class Words(Protocol):
    """A model's tokenizer and chat template, as the server uses them; called from one thread (encoding) and from the
    scheduler's (decoding)."""

    ends: frozenset[int]
    """Tokens that end an answer."""

    @property
    def supports_tools(self) -> bool:
        """Whether the template writes tools and their calls."""
        ...

    def chat(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> list[int]:
        """The prompt's ids by the chat template. Raises StudioError."""
        ...

    def plain(self, text: str) -> list[int]:
        """The ids of a text that is to be continued; the texts of control tokens are these tokens."""
        ...

    def decode(self, ids: Sequence[int], special: bool = False) -> str:
        """The text of ids, with control tokens' texts if `special`."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """One token's bytes."""
        ...

    def size(self) -> int:
        """Token ids in the vocabulary."""
        ...

    def constraint(self, grammar: str, param: str) -> Constraint:
        """A grammar ready to be followed in this vocabulary. Raises ApiError."""
        ...

    def spell(self, mark: str) -> str:
        """A template's mark in a Lark grammar: its control token, or its text."""
        ...

    def sample_call(self) -> str:
        """How the template writes a tool call, with the name and arguments of `toolcalls.PROBE`; empty if it cannot."""
        ...


def groups(jobs: Iterable[Job]) -> list[list[Job]]:
    """Jobs by variant, in order of arrival."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        found.setdefault(job.variant, []).append(job)
    return list(found.values())
