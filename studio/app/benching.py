"""Use case of measuring: latency, throughput, memory, energy, cost and quality of several things under the same questions.

Everything is asked over HTTP as a user would ask it. What is local is served by the studio's own server in a process of its
own, one after another. What was measured is kept after every level, so that stopping loses nothing that is whole.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import os
import platform
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from studio.app import bench_things, servers
from studio.app.bench_results import Keeper, Tell, keeping
from studio.app.bench_things import Thing
from studio.core.errors import StudioError
from studio.core.text import shorten
from studio.processes.identity import ProcessId
from studio.serving.measure import asking, load, price, prompts
from studio.serving.measure.asking import Api, Client
from studio.serving.measure.price import Hardware, Tariff
from studio.serving.measure.result import Item, Level, Result
from studio.serving.measure.watch import Watch
from studio.tracking.secrets import redact

log = logging.getLogger("studio.bench")
TOKENS = 64
"""Longest answer where no run says otherwise."""
API_STREAMS = 16
"""Most streams at once that an API is asked with where nothing is given: each costs money."""
GGUF_STREAMS = 16
"""The same for llama.cpp, which keeps room for that many answers from the start."""


@dataclass(frozen=True)
class Wish:
    """What to measure and how. given: runs, models, exports, `RUN:EXPORT`, or `URL#MODEL`; apis: those with their keys."""

    given: tuple[str, ...] = ()
    apis: tuple[Api, ...] = ()
    levels: tuple[int, ...] = ()
    """Streams at once. Empty: 1, 2, 4, … until throughput stops rising."""
    rows: int = 30
    repeats: int = 3
    max_tokens: int | None = None
    questions: str = ""
    """A file, or a run whose held-out rows are asked; empty: those of the first run among `given`."""
    hardware: Hardware = field(default_factory=Hardware)
    tariff: Tariff | None = None


def measure(
    wish: Wish, home: Path, tell: Tell = lambda progress: None, say: Callable[[str], None] = lambda line: None
) -> Result:
    """Measure everything, one after another, and keep the result in `<home>/bench/<id>.json` and `.html`.

    Raises SpecError, JobError, Refused before anything is started for what cannot be measured at all. What fails later is
    told in its item. Ctrl-C and SIGTERM end it: what was measured until then comes back, its state `interrupted`.
    """
    found = bench_things.things(wish.given, wish.apis, home)
    chosen = bench_things.rows(found, wish.questions, wish.rows, home)
    longest = wish.max_tokens or bench_things.longest(found) or TOKENS
    plan = load.Plan(chosen.rows, longest, wish.repeats, wish.levels)
    settings = {
        "source": chosen.source,
        "rows": len(chosen.rows),
        "left_out": chosen.left_out,
        "repeats": wish.repeats,
        "max_tokens": longest,
        "temperature": 0,
        "levels": list(wish.levels),
        "warm_up": load.WARM_UP,
        "metric": bench_things.metric(found),
    }
    for host in sorted({thing.api.host for thing in found if thing.api and not thing.api.local}):
        say(f"{len(chosen.rows)} questions ({chosen.source}) are sent to {host}")
    now = asdict(ProcessId.current())
    result = Result(_id(), time.time(), "running", settings, _machine(), process=now)
    with keeping(result, home) as keeper, _sigterm_as_interrupt():
        for place, thing in enumerate(found):
            said = {"item": place, "of": len(found), "name": thing.name, "what": "starting", "done": 0, "total": 0}
            keeper.progress(said, tell)
            _one(thing, plan, wish, home, keeper, lambda values, said=said: keeper.progress({**said, **values}, tell))
    return keeper.result


def _one(thing: Thing, plan: load.Plan, wish: Wish, home: Path, keeper: Keeper, tell: Tell) -> None:
    """Measure one thing; what goes wrong with it is told in its item, and the others go on."""
    item = Item(thing.name, thing.kind, "", evidence=bench_things.evidence(thing))
    try:
        if thing.api is not None:
            limited = replace(plan, most_streams=API_STREAMS)
            asyncio.run(
                _asked(thing.api, replace(item, engine=thing.api.host, model=thing.api.model), limited, wish, keeper, tell)
            )
            return
        begun = time.monotonic()
        if thing.is_gguf:
            plan = replace(plan, most_streams=GGUF_STREAMS)
        most = max(plan.levels or (plan.most_streams,))
        extra = ["--max-concurrent", str(most), "--max-queue", "1024", "--max-tokens", str(max(2048, plan.max_tokens))]
        if thing.is_gguf:
            room = _context(plan)
            extra = [*extra, "--max-context", str(room)]
            item = replace(item, notes=[f"llama.cpp keeps room for {most} answers of {room} tokens from the start"])
        server = servers.start([thing.place], home, extra=extra, until=ProcessId.current())
        try:
            with Watch(server.process.pid) as watch:
                ready = servers.wait_until_ready(server, home)
                name = ready.models[0]
                engine = servers.doing(ready).engines.get(name, "")
                item = replace(item, engine=engine, model=name, start_seconds=time.monotonic() - begun)
                asyncio.run(_asked(Api(ready.url, name), item, plan, wish, keeper, tell, watch))
        finally:
            servers.stop(server, patience=30)
    except StudioError as problem:
        keeper.put(replace(keeper.named(item), error=problem.as_dict()))
    except Exception as fault:
        log.exception("measuring %s failed", thing.name)
        problem = StudioError(
            f"the studio failed while measuring it: {shorten(redact(f'{type(fault).__name__}: {fault}'), 200)}",
            hint="This is a fault of the studio; please report it with the traceback in its output.",
            where=thing.name,
        )
        keeper.put(replace(keeper.named(item), error=problem.as_dict()))


def _context(plan: load.Plan) -> int:
    """Room llama.cpp needs for one answer: a token takes at least a character; the template's own words come on top."""
    longest = max(sum(len(str(turn.get("content"))) for turn in row.messages) for row in plan.rows)
    return min(8192, longest + plan.max_tokens + 512)


async def _asked(
    api: Api, item: Item, plan: load.Plan, wish: Wish, keeper: Keeper, tell: Tell, watch: Watch | None = None
) -> None:
    """Ask one API at every level; each level is kept when it is done."""
    async with Client(api) as client:
        listed = await client.models()
        if problem := asking.missing(api.model, listed, api.host):
            raise problem
        own, first = watch is not None, item.notes
        tariff = None if own else wish.tariff or price.told_by_api(api.model, listed, api.host)
        tell({"what": "warming up"})
        await load.warm_up(client, plan)
        before = watch.joules() if watch else None
        async for streams, rounds in load.levels(
            client, plan, lambda *at: tell(dict(zip(("streams", "done", "total"), at, strict=True)))
        ):
            now = watch.joules() if watch else None
            spent = now - before if now is not None and before is not None else None
            before = now
            level = load.level(streams, rounds, spent)
            level, how = _priced(level, wish.hardware if own else None, tariff)
            if streams == min(plan.levels or (1,)):
                item = _with_answers(item, rounds)
            item = replace(
                item,
                levels=[*item.levels, level],
                cost_how=how,
                memory=watch.memory or None if watch else None,
                gpu_memory=watch.gpu_memory or None if watch else None,
                notes=[*first, *client.notes, *_limits(level)],
            )
            keeper.put(item)


def _priced(level: Level, hardware: Hardware | None, tariff: Tariff | None) -> tuple[Level, str]:
    if hardware is not None:
        found = price.of_hardware(hardware, level)
        return (replace(level, cost=found[0]), found[1]) if found else (level, "")
    if tariff is None:
        return level, ""
    return replace(
        level, cost=price.of_api(tariff, level)
    ), f"{tariff.read:g} read, {tariff.written:g} written; {tariff.source}"


def _with_answers(item: Item, rounds: Sequence[load.Round]) -> Item:
    """The item with what its answers are worth, how long they are, and how they were counted."""
    every = {id(row): (row, answer) for one in rounds for row, answer in one.answers}.values()
    answers = [answer for _, answer in every]
    return replace(
        item,
        quality=prompts.scores([row for row, _ in every], [answer.text for answer in answers]),
        answer_tokens=sum(answer.tokens for answer in answers) / len(answers),
        counted="usage" if all(answer.counted for answer in answers) else "chunks",
    )


def _limits(level: Level) -> list[str]:
    return [f"{level.failed} requests failed with {level.concurrency} streams: {level.errors[0]}"] if level.failed else []


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """A request to end is heard as Ctrl-C is, which the event loop turns into an orderly end."""
    try:
        before = signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    except ValueError:  # not the main thread: a notebook's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _id() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def _machine() -> dict[str, Any]:
    from studio.hardware import machine

    found, versions = machine.probe(), {"python": platform.python_version()}
    for package in ("slm-studio", "torch", "transformers", "cyllama"):
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    load_now = [round(value, 1) for value in os.getloadavg()] if hasattr(os, "getloadavg") else []
    return {
        "name": found.name,
        "cpu": found.cpu,
        "cores": found.cores,
        "ram": found.ram,
        "versions": versions,
        "load": load_now,
    }
