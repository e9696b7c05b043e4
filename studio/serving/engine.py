"""What the scheduler asks of an engine, and what the server asks of the tokenizer of a model.

An engine holds one set of weights in one thread. It turns prompts into logits; choosing tokens is `sampling.choose`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from studio.serving.constraint import Constraint
from studio.serving.job import Job, TokenLogprob


class Engine(Protocol):
    """Weights that answer. Every method but the attributes runs in the scheduler's thread alone."""

    name: str
    """`transformers` or `llama.cpp`."""
    context: int
    """Tokens of prompt and answer together."""

    def load(self) -> None:
        """Bring the weights into memory. Raises StudioError."""
        ...

    def begin(self, job: Job) -> tuple[int, TokenLogprob | None]:
        """Read a job's prompt and choose its first token. With `prompt_logprobs`, the prompt's are put into `job.state`."""
        ...

    def advance(self, jobs: Sequence[Job]) -> list[tuple[int, TokenLogprob | None]]:
        """The next token of each of some jobs of one variant, each having written at least one."""
        ...

    def prompt_logprobs_of(self, job: Job) -> tuple[TokenLogprob, ...]:
        """The prompt's tokens with their log-probabilities, where they were asked for."""
        ...

    def end(self, job: Job) -> None:
        """Forget what is kept for a job."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


class TokenizerAdapter(Protocol):
    """A model's tokenizer and chat template, as the server uses them; called from one thread (encoding) and from the
    scheduler's (decoding)."""

    ends: frozenset[int]
    """Tokens that end an answer."""

    @property
    def supports_tools(self) -> bool:
        """Whether the template writes tools and their calls."""
        ...

    @property
    def longest_token(self) -> int:
        """Most bytes of text that one token can stand for: no text has fewer tokens than its bytes divided by this."""
        ...

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        variables: Mapping[str, Any] = MappingProxyType({}),
    ) -> list[int]:
        """The prompt's ids by the chat template; variables: what it is given besides. Raises StudioError."""
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
    grouped: dict[str, list[Job]] = {}
    for job in jobs:
        grouped.setdefault(job.variant, []).append(job)
    return list(grouped.values())
