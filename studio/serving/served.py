"""What a server serves: names, each a variant on some weights with its own tokenizer; and jobs made for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from studio.core.messages import ChatMessage
from studio.serving import toolcalls
from studio.serving.engine import TokenizerAdapter
from studio.serving.errors import ApiError, bad, context_exceeded
from studio.serving.job import Job, Piece, Sampling
from studio.serving.limits import Limits
from studio.serving.requests import Common
from studio.serving.scheduler import Scheduler
from studio.serving.writing import Writer

if TYPE_CHECKING:
    from studio.documents.records import Passage
    from studio.retrieval.grounding import Grounding
    from studio.serving.collecting import Collector


@dataclass(frozen=True)
class Served:
    """One model by the name requests use."""

    name: str
    scheduler: Scheduler
    tokenizer: TokenizerAdapter
    variant: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    """What `/v1/models` says besides: base, engine, run."""
    system: str = ""
    """The system prompt it was trained with."""
    grounding: Grounding | None = None
    """Where questions get passages from that they are answered from."""
    collector: Collector | None = None
    """Where answers are collected, if whoever serves turned it on."""

    @property
    def context(self) -> int:
        """Tokens of prompt and answer together."""
        limit = self.scheduler.limits.context
        return min(limit, self.scheduler.engine.context) if limit else self.scheduler.engine.context

    @cached_property
    def form(self) -> toolcalls.Form | None:
        """How this model writes tool calls, as far as they can be read back."""
        return toolcalls.form_of(self.tokenizer.sample_call())

    def with_system(self, messages: list[ChatMessage]) -> list[ChatMessage]:
        """The conversation under the trained system prompt, unless it has one of its own."""
        if not self.system or any(message["role"] == "system" for message in messages):
            return messages
        return [{"role": "system", "content": self.system}, *messages]

    def grounded(self, messages: list[ChatMessage]) -> tuple[list[ChatMessage], list[Passage]]:
        """The conversation with passages before its question, half the context at most, and those passages."""
        if self.grounding is None:
            return messages, []
        return self.grounding.within(self.context).ground(messages)

    def require_short(self, texts: Iterable[str], param: str) -> None:
        """Raise ApiError for texts that cannot fit the context whatever their tokens are: cheap, before any is encoded."""
        least = sum(len(text.encode()) for text in texts) // self.tokenizer.longest_token
        if least >= self.context:
            raise context_exceeded(self.context, f"at least {least} tokens", param)

    def job(
        self,
        request: Common,
        prompt: list[int],
        token_limit: int | None,
        seed: int,
        client: str,
        receive: Callable[[Piece], None],
        *,
        grammar: str | None = None,
        param: str = "response_format",
        special: bool = False,
        logprobs: int | None = None,
        prompt_logprobs: bool = False,
    ) -> Job:
        """A job for one choice of a request. Raises ApiError for a prompt or a number over its limit."""
        limits = self.scheduler.limits
        left = self.context - len(prompt)
        if not prompt:
            raise bad("the prompt is empty", "prompt")
        if left < 1:
            raise context_exceeded(
                self.context, f"{len(prompt)} tokens", "messages" if hasattr(request, "messages") else "prompt"
            )
        if token_limit is not None and limits.tokens is not None and token_limit > limits.tokens:
            raise bad(
                f"max_tokens is {token_limit}, and at most {limits.tokens} are written here", "max_tokens", "limit_exceeded"
            )
        further_ends = frozenset(request.stop_token_ids or ())
        return Job(
            variant=self.variant,
            prompt=prompt,
            token_limit=min(limits.default_tokens if token_limit is None else token_limit, left),
            writer=Writer(lambda ids: self.tokenizer.decode(ids, special), request.stops),
            ends=further_ends if request.ignore_eos else self.tokenizer.ends | further_ends,
            receive=receive,
            sampling=_sampling(request, limits, seed),
            constraint=self.tokenizer.constraint(grammar, param) if grammar else None,
            logprobs=logprobs,
            prompt_logprobs=prompt_logprobs,
            client=client,
        )


def _sampling(request: Common, limits: Limits, seed: int) -> Sampling:
    return Sampling(
        temperature=limits.temperature if request.temperature is None else request.temperature,
        top_p=1.0 if request.top_p is None else request.top_p,
        top_k=max(0, request.top_k or 0),
        min_p=request.min_p or 0.0,
        repetition=request.repetition_penalty or 1.0,
        seed=seed,
        presence=request.presence_penalty or 0.0,
        frequency=request.frequency_penalty or 0.0,
        bias=request.logit_bias or {},
    )


def find(models: dict[str, Served], name: str) -> Served:
    """The model of that name. Raises ApiError 404 that names those there are."""
    if name not in models:
        known = ", ".join(f"`{known}`" for known in models)
        raise ApiError(404, f"there is no model `{name}`; this server has {known}", param="model", code="model_not_found")
    return models[name]
