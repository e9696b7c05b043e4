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
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from studio.app import benchmark_targets, servers
from studio.app.benchmark_results import ResultWriter, Tell, writing
from studio.app.benchmark_targets import BenchTarget
from studio.benchmark import client, loadgen, pricing, prompts
from studio.benchmark.client import Api, Client
from studio.benchmark.pricing import Hardware, Tariff
from studio.benchmark.resource_monitor import ResourceMonitor
from studio.benchmark.result import Conditions, Item, Level, MeasuredOn, Progress, Result
from studio.core.errors import StudioError
from studio.core.records import ErrorRecord
from studio.core.signals import heard_as_interrupt
from studio.core.text import shorten
from studio.processes.identity import ProcessId
from studio.tracking.secrets import redact

log = logging.getLogger("studio.bench")
TOKENS = 64
"""Longest answer where no run says otherwise."""
API_STREAMS = 16
"""Most streams at once that an API is asked with where nothing is given: each costs money."""
GGUF_STREAMS = 16
"""The same for llama.cpp, which reserves memory for that many answers from the start."""


@dataclass(frozen=True)
class BenchmarkRequest:
    """What to measure and how. systems: runs, models, exports, `RUN:EXPORT`, or `URL#MODEL`; apis: those with their keys."""

    systems: tuple[str, ...] = ()
    apis: tuple[Api, ...] = ()
    levels: tuple[int, ...] = ()
    """Streams at once. Empty: 1, 2, 4, … until throughput stops rising."""
    rows: int = 30
    repeats: int = 3
    max_tokens: int | None = None
    questions: str = ""
    """A file, or a run whose held-out rows are asked; empty: those of the first run among `systems`."""
    hardware: Hardware = field(default_factory=Hardware)
    tariff: Tariff | None = None


def measure(
    request: BenchmarkRequest, home: Path, tell: Tell = lambda progress: None, say: Callable[[str], None] = lambda line: None
) -> Result:
    """Measure everything, one after another, and keep the result in `<home>/bench/<id>.json` and `.html`.

    Raises SpecError, JobError, Refused before anything is started for what cannot be measured at all. What fails later is
    told in its item. Ctrl-C and SIGTERM end it: what was measured until then comes back, its state `interrupted`.
    """
    found = benchmark_targets.targets(request.systems, request.apis, home)
    chosen = benchmark_targets.rows(found, request.questions, request.rows, home)
    longest = request.max_tokens or benchmark_targets.longest(found) or TOKENS
    plan = loadgen.Plan(chosen.rows, longest, request.repeats, request.levels)
    settings = Conditions(
        source=chosen.source, rows=len(chosen.rows), left_out=chosen.left_out, repeats=request.repeats, max_tokens=longest,
        levels=tuple(request.levels), warm_up=loadgen.WARM_UP, metric=benchmark_targets.metric(found),
    )  # fmt: skip
    for host in sorted({target.api.host for target in found if target.api and not target.api.local}):
        say(f"{len(chosen.rows)} questions ({chosen.source}) are sent to {host}")
    result = Result(
        id=_id(), begun=time.time(), state="running", settings=settings, machine=_machine(), process=ProcessId.current()
    )
    with writing(result, home) as writer, heard_as_interrupt():
        for index, target in enumerate(found):
            begun = Progress(item=index, of=len(found), name=target.name)
            writer.progress(begun, tell)
            _one(target, plan, request, home, writer, begun, lambda at: writer.progress(at, tell))
    return writer.result


def _one(
    target: BenchTarget,
    plan: loadgen.Plan,
    request: BenchmarkRequest,
    home: Path,
    writer: ResultWriter,
    begun: Progress,
    tell: Tell,
) -> None:
    """Measure one target; what goes wrong with it is kept in its item, and the others go on."""
    item = Item(target.name, target.kind, "", evidence=benchmark_targets.evidence(target))
    try:
        if target.api is not None:
            limited = replace(plan, most_streams=API_STREAMS)
            item = replace(item, engine=target.api.host, model=target.api.model)
            asyncio.run(_api_measured(target.api, item, limited, request, writer, begun, tell))
            return
        clock = time.monotonic()
        if target.is_gguf:
            plan = replace(plan, most_streams=GGUF_STREAMS)
        most = max(plan.levels or (plan.most_streams,))
        extra = ["--max-concurrent", str(most), "--max-queue", "1024", "--max-tokens", str(max(2048, plan.max_tokens))]
        if target.is_gguf:
            context = _context(plan)
            extra = [*extra, "--max-context", str(context)]
            item = replace(item, notes=[f"llama.cpp reserves memory for {most} answers of {context} tokens from the start"])
        server = servers.start([target.source], home, extra=extra, until=ProcessId.current())
        try:
            with ResourceMonitor(server.process.pid) as watch:
                ready = servers.wait_until_ready(server, home)
                name = ready.models[0]
                engine = servers.stats(ready).engines.get(name, "")
                item = replace(item, engine=engine, model=name, start_seconds=time.monotonic() - clock)
                asyncio.run(_api_measured(Api(ready.url, name), item, plan, request, writer, begun, tell, watch))
        finally:
            servers.stop(server, patience=30)
    except StudioError as problem:
        writer.put(replace(writer.named(item), error=ErrorRecord.of(problem)))
    except Exception as fault:
        log.exception("measuring %s failed", target.name)
        problem = StudioError(
            f"internal error while measuring it: {shorten(redact(f'{type(fault).__name__}: {fault}'), 200)}",
            hint="This is a bug in Studio, not in your input; please report it with the traceback in its output.",
            where=target.name,
        )
        writer.put(replace(writer.named(item), error=ErrorRecord.of(problem)))


def _context(plan: loadgen.Plan) -> int:
    """The context llama.cpp needs for one answer: a token takes at least a character; the template's own words come on top."""
    longest = max(sum(len(str(turn.get("content"))) for turn in row.messages) for row in plan.rows)
    return min(8192, longest + plan.max_tokens + 512)


async def _api_measured(
    api: Api,
    item: Item,
    plan: loadgen.Plan,
    request: BenchmarkRequest,
    writer: ResultWriter,
    begun: Progress,
    tell: Tell,
    watch: ResourceMonitor | None = None,
) -> None:
    """Ask one API at every level; each level is kept when it is done."""
    async with Client(api) as connection:
        listed = await connection.models()
        if problem := client.missing(api.model, listed, api.host):
            raise problem
        own, first = watch is not None, item.notes
        tariff = None if own else request.tariff or pricing.told_by_api(api.model, listed, api.host)
        tell(begun.model_copy(update={"what": "warming up"}))
        await loadgen.warm_up(connection, plan)
        before = watch.joules() if watch else None
        async for streams, rounds in loadgen.levels(
            connection,
            plan,
            lambda streams, done, total: tell(begun.model_copy(update={"streams": streams, "done": done, "total": total})),
        ):
            now = watch.joules() if watch else None
            spent = now - before if now is not None and before is not None else None
            before = now
            level = loadgen.level(streams, rounds, spent)
            level, how = _priced(level, request.hardware if own else None, tariff)
            if streams == min(plan.levels or (1,)):
                item = _with_answers(item, rounds)
            item = replace(
                item,
                levels=[*item.levels, level],
                cost_how=how,
                memory=watch.memory or None if watch else None,
                gpu_memory=watch.gpu_memory or None if watch else None,
                notes=[*first, *connection.notes, *_limits(level)],
            )
            writer.put(item)


def _priced(level: Level, hardware: Hardware | None, tariff: Tariff | None) -> tuple[Level, str]:
    if hardware is not None:
        found = pricing.of_hardware(hardware, level)
        return (replace(level, cost=found[0]), found[1]) if found else (level, "")
    if tariff is None:
        return level, ""
    return replace(
        level, cost=pricing.of_api(tariff, level)
    ), f"{tariff.read:g} read, {tariff.written:g} written; {tariff.source}"


def _with_answers(item: Item, rounds: Sequence[loadgen.Round]) -> Item:
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


def _id() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def _machine() -> MeasuredOn:
    from studio.hardware import machine

    found, versions = machine.probe(), {"python": platform.python_version()}
    for package in ("slm-studio", "torch", "transformers", "cyllama"):
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    load = tuple(round(value, 1) for value in os.getloadavg()) if hasattr(os, "getloadavg") else ()
    return MeasuredOn(name=found.name, cpu=found.cpu, cores=found.cores, ram=found.ram, versions=versions, load=load)
