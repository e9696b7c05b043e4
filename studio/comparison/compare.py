"""Ask every question in every way, and count. Who answers is given from outside: a loaded model, a server, an API."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from studio.comparison.questions import Question, Questions, refuses
from studio.comparison.record import AnswerRow, ComparedSystem, ComparisonRecord, Figure
from studio.comparison.settings import Comparison
from studio.core.errors import Stopped, StudioError
from studio.core.messages import ChatMessage, chat_message
from studio.core.text import plural
from studio.documents.records import Passage
from studio.evaluation import overlap
from studio.evaluation.interval import Column, Draws, change, estimate, mean
from studio.retrieval.grounding import Grounding, groundedness, unmarked, with_passages
from studio.tracking.reporter import Reporter

Messages = Sequence[ChatMessage]
_RESAMPLES, _SEED = 1_000, 23
_MONTH = 30 * 24 * 3600
"""Seconds."""
BASE, LARGE = "base", "large model"


@dataclass(frozen=True)
class Reply:
    """An answer and what it took. cost: US dollars."""

    text: str
    prompt_tokens: int
    answer_tokens: int
    seconds: float
    cost: float = 0.0


@dataclass(frozen=True)
class Answerer:
    """Someone who answers. system: what stands before the question; metered: each answer is billed."""

    name: str
    ask: Callable[[Messages], Reply]
    system: str = ""
    metered: bool = False


@dataclass(frozen=True)
class _AskedSystem:
    """A way of answering: who is asked, with which passages (None: without), and which questions (None: all)."""

    name: str
    about: str
    answerer: Answerer
    passages: Sequence[Sequence[Passage]] | None
    only: Sequence[int] | None = None


def compare(
    settings: Comparison,
    of_file: Questions,
    local: Sequence[Answerer],
    large: Answerer | None,
    grounding: Grounding | None,
    reporter: Reporter,
    keep: Callable[[AnswerRow], object],
    *,
    id: str = "",
) -> ComparisonRecord:
    """All ways, all questions. local: base first, then tuned. keep takes each answer as it comes.

    Raises CeilingReached where the large model would cost more than allowed, Stopped when asked to.
    """
    questions = of_file.usable
    retrieved = [grounding.passages(question.text) for question in questions] if grounding else None
    metric = settings.quality if settings.quality != "auto" else _metric([question.reference for question in questions])
    ways = list(_systems_of(settings, questions, local, large, grounding, retrieved))
    rows: dict[str, list[AnswerRow]] = {}
    asked = [(way, index) for way in ways for index in (range(len(questions)) if way.only is None else way.only)]
    for done, (way, index) in enumerate(asked):
        if reporter.should_stop():
            raise Stopped
        reporter.progress(done, len(asked), f"Asking: {way.name}")
        row = _row(way, index, questions[index], metric)
        keep(row)
        rows.setdefault(way.name, []).append(row)
    base = rows.get(BASE)
    api = [row.cost for row in rows.get(LARGE, ())]
    found = None
    if retrieved is not None:
        known = [(question, given) for question, given in zip(questions, retrieved, strict=True) if question.gold]
        found = _share([any(passage.id in question.gold for passage in given) for question, given in known])
    return ComparisonRecord(
        id=id,
        created=time.time(),
        run=settings.run,
        index=grounding.index.record.name if grounding else "",
        index_content=grounding.index.record.content if grounding else "",
        large=settings.large.model if settings.large else "",
        questions=len(questions),
        unanswerable=sum(not question.answerable for question in questions),
        volume=settings.volume,
        server=settings.server,
        metric=metric,
        ways=tuple(_summary(way, rows[way.name], base, settings) for way in ways),
        found_by_retrieval=found,
        remarks=tuple(_remarks(of_file, grounding, api, settings, [row.seconds for row in base or () if not row.error])),
    )


def _systems_of(
    settings: Comparison,
    questions: Sequence[Question],
    local: Sequence[Answerer],
    large: Answerer | None,
    grounding: Grounding | None,
    retrieved: Sequence[Sequence[Passage]] | None,
) -> list[_AskedSystem]:
    ways = [_AskedSystem(one.name, f"The {one.name} model without passages.", one, None) for one in local]
    if grounding is not None and retrieved is not None:
        names = {BASE: "retrieval"} if len(local) > 1 else {}
        ways += [
            _AskedSystem(
                names.get(one.name, f"{one.name} + retrieval"),
                f"The {one.name} model with {settings.passages} passages.",
                one,
                retrieved,
            )
            for one in local
        ]
        reader = local[-1]
        if known := [index for index, question in enumerate(questions) if question.gold]:
            by_id = grounding.index.passages
            oracle = [[by_id[item] for item in sorted(question.gold)][: settings.passages] for question in questions]
            shifted = [*retrieved[len(retrieved) // 2 :], *retrieved[: len(retrieved) // 2]]
            wrong = [
                [passage for passage in given if passage.id not in question.gold]
                for question, given in zip(questions, shifted, strict=True)
            ]
            where = "Asked where the right passage is known."
            ways.append(
                _AskedSystem(
                    f"{reader.name} + right passage",
                    f"The passages that contain the answer: only reading can fail. {where}",
                    reader,
                    oracle,
                    known,
                )
            )
            about = f"Another question's passages: is it misled? {where}"
            ways.append(_AskedSystem(f"{reader.name} + wrong passages", about, reader, wrong, known))
    if large is not None:
        ways.append(_AskedSystem(LARGE, "The large model by API, without passages.", large, None))
        if retrieved is not None and settings.large_with_passages:
            ways.append(
                _AskedSystem(f"{LARGE} + retrieval", f"The large model with {settings.passages} passages.", large, retrieved)
            )
    return ways


def _metric(references: Sequence[str]) -> str:
    """What tells a right answer here."""
    return "contains_reference" if overlap.are_short(references) else "token_f1"


def _row(system: _AskedSystem, index: int, question: Question, metric: str) -> AnswerRow:
    messages = [*question.before, chat_message("user", question.text)]
    if system.answerer.system and messages[0]["role"] != "system":
        messages.insert(0, chat_message("system", system.answerer.system))
    passages = system.passages[index] if system.passages is not None else None
    if passages is not None:
        messages = with_passages(messages, passages)
    error = ""
    try:
        reply = system.answerer.ask(messages)
    except StudioError as problem:
        if type(problem).__name__ == "CeilingReached":
            raise
        reply, error = Reply("", 0, 0, 0.0), problem.sentence
    refused = not error and refuses(reply.text)
    quality = 0.0
    if question.answerable and not refused:
        quality = getattr(overlap, metric)(question.reference, unmarked(reply.text))
    return AnswerRow(
        way=system.name,
        question=index,
        text=question.text,
        answer=reply.text,
        reference=question.reference,
        answerable=question.answerable,
        quality=quality if question.answerable else float(refused),
        refused=refused,
        grounded=groundedness(reply.text, passages, question.text)
        if passages is not None and not refused and not error
        else None,
        passages=tuple(passage.id for passage in passages or ()),
        gold=tuple(sorted(question.gold)),
        prompt_tokens=reply.prompt_tokens,
        answer_tokens=reply.answer_tokens,
        seconds=reply.seconds,
        cost=reply.cost,
        error=error,
    )


def _summary(system: _AskedSystem, rows: list[AnswerRow], base: list[AnswerRow] | None, settings: Comparison) -> ComparedSystem:
    draws = Draws(len(rows), _RESAMPLES, _SEED)
    quality = mean(_column([row.quality for row in rows]), (0.0, 1.0))
    compared = None
    if base is not None and system.name != BASE:
        by_question = {row.question: row.quality for row in base}
        before = mean(_column([by_question[row.question] for row in rows]), (0.0, 1.0))
        compared = Figure.of(change(before, quality, draws))
    seconds = sorted(row.seconds for row in rows if not row.error) or [0.0]
    cost = sum(row.cost for row in rows) / len(rows)
    metered = system.answerer.metered
    return ComparedSystem(
        name=system.name,
        about=system.about,
        quality=Figure.of(estimate(quality, draws)),
        answered=_share([row.quality for row in rows if row.answerable]),
        known=_share([row.quality for row in rows if row.gold]),
        refused_rightly=_share([row.refused for row in rows if not row.answerable]),
        refused_wrongly=_share([row.refused for row in rows if row.answerable]),
        grounded=_share([row.grounded for row in rows if row.grounded is not None]),
        change=compared,
        prompt_tokens=statistics.fmean(row.prompt_tokens for row in rows),
        answer_tokens=statistics.fmean(row.answer_tokens for row in rows),
        p50=float(np.percentile(seconds, 50)),
        p95=float(np.percentile(seconds, 95)),
        per_thousand=1_000 * (cost if metered else settings.server / settings.volume),
        per_month=cost * settings.volume if metered else settings.server,
        break_even=settings.server / cost if metered and cost > 0 and settings.server > 0 else None,
        errors=sum(bool(row.error) for row in rows),
    )


def _share(values: Sequence[float]) -> Figure | None:
    """The mean of values from 0 to 1 with its interval; None without any."""
    if not values:
        return None
    return Figure.of(estimate(mean(_column(values), (0.0, 1.0)), Draws(len(values), _RESAMPLES, _SEED)))


def _column(values: Sequence[float]) -> Column:
    return np.array(values, dtype=np.float64)


def _remarks(
    of_file: Questions,
    grounding: Grounding | None,
    api: Sequence[float],
    settings: Comparison,
    seconds: Sequence[float],
) -> list[str]:
    questions, remarks = of_file.usable, list[str]()
    if of_file.left_out:
        was = "was" if of_file.left_out == 1 else "were"
        remarks.append(
            f"{plural(of_file.left_out, 'row')} of the questions {was} left out: without a question, or with neither an answer "
            "nor `answerable: false`."
        )
    if len(questions) < 30:
        remarks.append(f"With {len(questions)} questions the intervals are wide. Use a hundred or more.")
    if not any(not question.answerable for question in questions):
        remarks.append("Every question has an answer in the documents: correct refusals cannot be measured.")
    if grounding is not None and not any(question.gold for question in questions):
        remarks.append("No question names its passage: errors of retrieval and of reading cannot be separated.")
    if settings.server == 0:
        remarks.append("The monthly price of your own machine (server) is not set, so there is no break-even volume.")
    if seconds and (most := _MONTH / max(1e-9, statistics.fmean(seconds))) < settings.volume:
        remarks.append(
            f"One after another, the base model answers {most:,.0f} questions a month on this machine, and the volume is "
            f"{settings.volume:,.0f}. Measure concurrent requests with studio bench before you count on one machine."
        )
    if api and not sum(api):
        remarks.append("The large model costs nothing: it is local or free.")
    return remarks
