"""Rising load on one API: levels of so many streams at once, each in rounds, each stream asking on when it is answered."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from studio.benchmark.answer_stream import Answer
from studio.benchmark.client import Client
from studio.benchmark.prompts import Row
from studio.benchmark.result import Level, Spread
from studio.remote.refusals import Refused

GAIN = 1.1
"""Throughput must rise by a tenth for the next doubling to be tried."""
WARM_UP = 2
"""Answers given before anything is timed."""


@dataclass(frozen=True)
class Plan:
    """How everything is asked. levels empty: 1, 2, 4, 8, … until throughput stops rising, at most `most_streams`."""

    rows: Sequence[Row]
    max_tokens: int
    repeats: int = 3
    levels: tuple[int, ...] = ()
    most_streams: int = 64

    def rows_of_round(self, streams: int, again: int) -> list[Row]:
        """The rows of one round: with one stream every row once over all rounds, with more at least three a stream."""
        mine = list(self.rows[again :: self.repeats]) or [self.rows[again % len(self.rows)]]
        if streams == 1:
            return mine
        rest = itertools.cycle(self.rows)
        return [*mine, *itertools.islice(rest, max(0, 3 * streams - len(mine)))]


@dataclass
class Round:
    """What one round gave."""

    seconds: float = 0.0
    answers: list[tuple[Row, Answer]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


async def warm_up(client: Client, plan: Plan) -> None:
    """The first answers, which nobody times. Raises Refused."""
    for row in plan.rows[:WARM_UP]:
        await client.ask(row.messages, plan.max_tokens)


async def levels(
    client: Client, plan: Plan, progress: Callable[[int, int, int], None] = lambda streams, done, total: None
) -> AsyncIterator[tuple[int, list[Round]]]:
    """Each level with its rounds, as it is done. progress: streams, answers so far, of how many.

    Raises Refused if the first level gives nothing; at a later one that is the end of it.
    """
    best = 0.0
    for streams in plan.levels or itertools.takewhile(lambda count: count <= plan.most_streams, _doubled()):
        await client.connect(streams)
        rounds: list[Round] = []
        total = sum(len(plan.rows_of_round(streams, again)) for again in range(plan.repeats))
        for again in range(plan.repeats):
            before = sum(len(item.answers) for item in rounds)
            rounds.append(
                await _round(client, plan, streams, again, lambda done, n=streams, b=before, t=total: progress(n, b + done, t))
            )
            if rounds[-1].refused and not rounds[-1].answers:
                break
        refused = [problem for item in rounds for problem in item.refused]
        if refused and not any(item.answers for item in rounds):
            if best == 0.0:
                raise refused[0]
            return
        yield streams, rounds
        speed = level(streams, rounds).tokens_per_second.median
        if not plan.levels and (refused or speed < GAIN * best):
            return
        best = max(best, speed)


async def _round(client: Client, plan: Plan, streams: int, again: int, progress: Callable[[int], None]) -> Round:
    found, waiting = Round(), iter(plan.rows_of_round(streams, again))

    async def stream() -> None:
        for row in waiting:
            try:
                found.answers.append((row, await client.ask(row.messages, plan.max_tokens)))
            except Refused as problem:
                found.refused.append(problem)
                if problem.status in (401, 402, 403, 404, 429):
                    return
            progress(len(found.answers))

    begun = time.perf_counter()
    await asyncio.gather(*(stream() for _ in range(streams)))
    found.seconds = time.perf_counter() - begun
    return found


def level(streams: int, rounds: Sequence[Round], joules: float | None = None) -> Level:
    """The figures of a level. joules: energy of the cards over all its rounds."""
    good = [item for item in rounds if item.answers]
    answers = [answer for item in good for _, answer in item.answers]
    seconds, tokens = sum(item.seconds for item in rounds), sum(answer.tokens for answer in answers)
    speeds = [speed for answer in answers if (speed := answer.stream_speed) is not None]
    first, total = ([getattr(answer, name) for answer in answers] for name in ("first", "total"))
    return Level(
        concurrency=streams,
        requests=len(answers),
        failed=sum(len(item.refused) for item in rounds),
        seconds=seconds,
        prompt_tokens=sum(answer.prompt_tokens for answer in answers),
        tokens=tokens,
        tokens_per_second=Spread.of([sum(a.tokens for _, a in item.answers) / item.seconds for item in good]),
        requests_per_second=Spread.of([len(item.answers) / item.seconds for item in good]),
        stream_tokens_per_second=float(np.median(speeds)) if speeds else None,
        first_p50=_percentile(first, 50),
        first_p95=_percentile(first, 95),
        latency_p50=_percentile(total, 50),
        latency_p95=_percentile(total, 95),
        watts=joules / seconds if joules is not None and seconds else None,
        joules_per_token=joules / tokens if joules is not None and tokens else None,
        errors=sorted({problem.sentence for item in rounds for problem in item.refused}),
    )


def _percentile(values: Sequence[float], percent: float) -> float:
    return float(np.percentile(np.asarray(values), percent))


def _doubled() -> itertools.accumulate[int]:
    return itertools.accumulate(itertools.repeat(2), lambda count, by: count * by, initial=1)
