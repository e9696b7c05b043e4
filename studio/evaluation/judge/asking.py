"""Asking a judge: both orders of every pair, or each answer on its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from studio.core.errors import EvaluationError, Stopped, StudioError
from studio.core.text import shorten
from studio.evaluation.judge import questions
from studio.evaluation.judge.questions import Pair
from studio.evaluation.judge.report import Grades, JudgedPair, JudgeReport, Winner
from studio.evaluation.judge.settings import Mode
from studio.remote.client import Client
from studio.remote.completion import Completion, Request


def requests(pairs: Sequence[Pair], rubric: str, mode: Mode) -> list[Request]:
    """Two requests a pair: the tuned answer first and second, or the tuned answer and the base's."""
    ask = questions.pairwise if mode == "pairwise" else questions.pointwise
    return [ask(pair, rubric, first) for pair in pairs for first in (True, False)]


def worst_cost(client: Client, requests: Sequence[Request]) -> float:
    """US dollars that this may cost at most; what is in the cache costs nothing."""
    return sum(
        client.price.cost(request.most_prompt_tokens, request.max_tokens)
        for request in requests
        if client.known(request) is None
    )


def judge(
    client: Client,
    pairs: Sequence[Pair],
    indices: Sequence[int],
    rubric: str,
    mode: Mode,
    set_name: str,
    tell: Callable[[int, int, str], None] = lambda done, total, what: None,
    stop: Callable[[], bool] = lambda: False,
) -> JudgeReport:
    """A judge's verdicts on pairs; indices: of the answers they are. Raises StudioError if it cannot be asked,
    EvaluationError if none of its replies holds a verdict, Stopped."""
    asked = requests(pairs, rubric, mode)
    replies: dict[int, Completion] = {}
    failed: StudioError | None = None
    for item in client.complete_all(asked, stop):
        if item.completion is not None:
            replies[item.index] = item.completion
        failed = failed or item.error
        tell(len(replies), len(asked), "verdicts")
    if stop():
        raise Stopped
    if failed is not None and not replies:
        raise failed
    judged, graded, invalid = list[JudgedPair](), list[Grades](), 0
    for place, (pair, index) in enumerate(zip(pairs, indices, strict=True)):
        both = replies.get(2 * place), replies.get(2 * place + 1)
        found = _pair(pair, index, *both) if mode == "pairwise" else _grades(index, *both)
        if isinstance(found, JudgedPair):
            judged.append(found)
        elif isinstance(found, Grades):
            graded.append(found)
        else:
            invalid += 1
    if invalid == len(pairs):
        said = next((reply.text for reply in replies.values()), "")
        raise EvaluationError(
            f"no reply of {client.endpoint.model} contained a verdict; the first was {shorten(said, 80)!r}",
            hint="Choose a model that follows instructions as the judge.",
            where=set_name,
        )
    return JudgeReport(
        judge=client.endpoint.model, rubric=rubric, set=set_name, pairs=tuple(judged), grades=tuple(graded), invalid=invalid,
        cost=sum(reply.paid for reply in replies.values()), created=time.time(),
    )  # fmt: skip


def _pair(pair: Pair, index: int, first: Completion | None, second: Completion | None) -> JudgedPair | None:
    one = questions.choice(first) if first else None
    other = questions.choice(second) if second else None
    if one is None or other is None:
        return None
    tuned_first: dict[str, Winner] = {"A": "tuned", "B": "base", "tie": "tie"}
    base_first: dict[str, Winner] = {"A": "base", "B": "tuned", "tie": "tie"}
    words = len(pair.base.split()), len(pair.tuned.split())
    return JudgedPair(index=index, question=pair.question, first=tuned_first[one], second=base_first[other], words=words)


def _grades(index: int, tuned: Completion | None, base: Completion | None) -> Grades | None:
    one, other = questions.grade(tuned) if tuned else None, questions.grade(base) if base else None
    return None if one is None or other is None else Grades(index=index, base=other, tuned=one)
