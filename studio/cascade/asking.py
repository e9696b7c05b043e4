"""Putting the questions to both models, through the API each is served by: what is calibrated is what is served."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from studio.cascade import signals
from studio.cascade.calibration import Row
from studio.cascade.questions import AnswerChecker, Question
from studio.core.errors import EvaluationError, Stopped, StudioError
from studio.core.records import Record
from studio.remote.client import Client
from studio.remote.completion import Completion, Request

Progress = Callable[[int, int, str], None]


class LargeRow(Record):
    """One question as the large model answered it."""

    label: ClassVar[str] = "row of the large model"
    remedy: ClassVar[str] = "Make the report again: studio cascade report."

    answer: str
    right: bool
    cost: float
    """US dollars, when it was bought."""
    seconds: float
    tokens: int


def ask_small(
    client: Client,
    questions: Sequence[Question],
    max_tokens: int,
    right: AnswerChecker,
    tell: Progress,
    stop: Callable[[], bool],
) -> list[Row]:
    """The small model's answers with their signals. Raises EvaluationError where its server gives no log-probabilities."""
    found = _ask(client, questions, max_tokens, True, "the small model", tell, stop)
    if all(item.top_logprobs is None for item in found):
        raise EvaluationError(
            "the small model's server returns no log-probabilities, which the confidence is computed from",
            hint="Serve the run with `studio serve`, llama-server or vLLM.",
            where=client.endpoint.url,
        )
    return [
        Row(
            question=question.text, reference=question.reference, answer=item.text, kind=question.kind,
            right=right(question.reference, item.text), signals=signals.read(item.top_logprobs),
            tokens=item.usage.completion_tokens, seconds=item.latency_s, file=question.file, line=question.line,
        )
        for question, item in zip(questions, found, strict=True)
    ]  # fmt: skip


def ask_large(
    client: Client,
    questions: Sequence[Question],
    max_tokens: int,
    right: AnswerChecker,
    tell: Progress,
    stop: Callable[[], bool],
) -> list[LargeRow]:
    """The large model's answers. Raises CeilingReached; what was bought until then is kept."""
    return [
        LargeRow(
            answer=item.text, right=right(question.reference, item.text), cost=item.cost, seconds=item.latency_s,
            tokens=item.usage.completion_tokens,
        )
        for question, item in zip(
            questions, _ask(client, questions, max_tokens, False, "the large model", tell, stop), strict=True
        )
    ]  # fmt: skip


def worst_cost(client: Client, questions: Sequence[Question], max_tokens: int) -> float:
    """US dollars that asking the large model may cost at most: what is not in the cache, each answer of full length."""
    asked = [Request(question.messages, max_tokens) for question in questions]
    return sum(client.price.cost(request.most_prompt_tokens, max_tokens) for request in asked if client.known(request) is None)


def _ask(
    client: Client,
    questions: Sequence[Question],
    max_tokens: int,
    logprobs: bool,
    who: str,
    tell: Progress,
    stop: Callable[[], bool],
) -> list[Completion]:
    requests = [Request(question.messages, max_tokens, logprobs=logprobs) for question in questions]
    found: dict[int, Completion] = {}
    failed: StudioError | None = None
    for item in client.complete_all(requests, stop):
        if item.completion is not None:
            found[item.index] = item.completion
        failed = failed or item.error
        tell(len(found), len(questions), f"answers of {who}")
    if stop():
        raise Stopped
    if failed is not None:
        raise failed
    return [found[index] for index in range(len(questions))]
