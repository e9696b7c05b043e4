"""What the server costs over the bare engine, how it bears many clients, and what swapping adapters takes.

Overhead and swap are measured on a random Llama-shaped model of about 100 M parameters, some 20 tokens a second on a core,
so that a token's own work is of a real size; the crowd asks a smaller one, so that a CPU can answer it. Everything is on
this machine and bounded: `--clients`, `--seconds`.

    python bench/serve.py [--clients 200] [--seconds 120] [--layers 14] [--out bench/results/serve-cpu.json]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[0] = str(Path(__file__).parents[1])  # not this folder: its file names are not modules' names

TOKENS = 48
"""Tokens of one answer; the end is biased away, so that every answer has as many."""
ASK = [{"role": "user", "content": "what is the price of the blue lamp please " * 4}]
ROUNDS = 15


def bare(engine: Any, words: Any, variant: str, bias: dict[int, float]) -> tuple[float, float]:
    """Milliseconds a token, and to the first token, of the engine alone: encode, read, write, decode."""
    from studio.serving.job import Job, Sampling
    from studio.serving.writing import Writer

    begun = time.perf_counter()
    job = Job(variant, words.chat(ASK, []), TOKENS, Writer(words.decode), frozenset(), sampling=Sampling(bias=bias))
    token, _ = engine.begin(job)
    job.written.append(token)
    job.writer.add(token)
    first = time.perf_counter()
    for _ in range(TOKENS - 1):
        [(token, _)] = engine.advance([job])
        job.written.append(token)
        job.writer.add(token)
    ended = time.perf_counter()
    engine.end(job)
    return 1000 * (ended - first) / (TOKENS - 1), (first - begun) * 1000


def ask(url: str, bias: str, rounds: int) -> None:
    """A client in a process of its own: on each line of stdin one streamed answer, told on stdout."""
    import http.client
    from urllib.parse import urlsplit

    body = json.dumps({"model": "shop", "messages": ASK, "max_tokens": TOKENS, "stream": True, "logit_bias": json.loads(bias)})
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=300)
    for _ in range(rounds):
        sys.stdin.readline()
        times = []
        begun = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        while line := answer.readline():
            if line.startswith(b"data: {"):
                times.append(time.perf_counter())
        print(json.dumps([1000 * (times[-1] - times[0]) / (TOKENS - 1), 1000 * (times[0] - begun)]), flush=True)


def overhead(models: dict[str, Any], url: str) -> dict[str, Any]:
    """Bare engine and server in turn, round by round, so that a busy machine is the same for both.

    Wall-clock times on a shared machine scatter; the CPU time of this process (the client is another) does so less.
    """
    import subprocess

    served, me = models["shop"], psutil.Process()
    bias = dict.fromkeys(served.tokenizer.ends, -100.0)
    words = [sys.executable, __file__, "--ask", url, "--bias", json.dumps(bias), "--rounds", str(ROUNDS + 1)]
    client = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert client.stdin
    assert client.stdout

    def spent(work: Callable[[], tuple[float, float]]) -> tuple[float, float, float]:
        before = sum(me.cpu_times()[:2])
        token, first = work()
        return token, first, 1000 * (sum(me.cpu_times()[:2]) - before) / TOKENS

    def alone() -> tuple[float, float]:
        return in_thread(lambda: bare(served.scheduler.engine, served.tokenizer, served.variant, bias))

    def over_http() -> tuple[float, float]:
        assert client.stdin
        assert client.stdout
        client.stdin.write("\n")
        client.stdin.flush()
        return tuple(json.loads(client.stdout.readline()))

    alone()
    over_http()
    rows = [(spent(alone), spent(over_http)) for _ in range(ROUNDS)]
    client.wait(30)
    told: dict[str, Any] = {"rounds": ROUNDS}
    for place, name in enumerate(("token_ms", "first_token_ms", "cpu_ms_per_token")):
        one, two = [row[0][place] for row in rows], [row[1][place] for row in rows]
        told[name] = {
            "bare": round(statistics.median(one), 2),
            "served": round(statistics.median(two), 2),
            "median_difference": round(statistics.median(b - a for a, b in zip(one, two, strict=True)), 2),
            "best_bare": round(min(one), 2),
            "best_served": round(min(two), 2),
        }
    return {**told, "promised": {"tokens_per_second_lost_percent": 5, "first_token_ms": 2}}


def in_thread(work: Callable[[], Any]) -> Any:
    """Run in a thread of its own, with the engine's one torch thread."""
    import torch

    found: list[Any] = []

    def run() -> None:
        torch.set_num_threads(1)
        found.append(work())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def swap(models: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds from one adapter to another, and to the base and back, on loaded weights."""
    engine = models["shop"].scheduler.engine
    times: list[float] = []
    for _ in range(20):
        for variant in ("a0", "a1", ""):
            begun = time.perf_counter()
            engine._use(variant)
            times.append((time.perf_counter() - begun) * 1000)
    return {"median_ms": round(statistics.median(times), 2), "worst_ms": round(max(times), 2), "promised_ms": 50}


async def crowd(url: str, clients: int, seconds: float) -> dict[str, Any]:
    """Many clients, in a process of their own, that stream answer after answer, each over its own connection."""
    import httpx

    end = time.monotonic() + seconds
    firsts: list[float] = []
    done = tokens = 0
    wrong: list[str] = []

    async def one(place: int) -> None:
        nonlocal done, tokens
        async with httpx.AsyncClient(timeout=600) as client:
            while time.monotonic() < end:
                asked = {"model": ("shop", "desk")[place % 2], "messages": ASK, "max_tokens": 12, "stream": True}
                begun, first, last = time.perf_counter(), 0.0, ""
                try:
                    async with client.stream("POST", f"{url}/chat/completions", json=asked) as answer:
                        if answer.status_code != 200:
                            wrong.append(str(answer.status_code))
                            continue
                        async for line in answer.aiter_lines():
                            first = first or time.perf_counter()
                            tokens += '"content":"' in line
                            last = line or last
                except httpx.HTTPError as problem:
                    wrong.append(type(problem).__name__)
                    continue
                if last != "data: [DONE]":
                    wrong.append("cut off")
                firsts.append(first - begun)
                done += 1

    begun = time.monotonic()
    await asyncio.gather(*(one(place) for place in range(clients)))
    took = time.monotonic() - begun
    return {
        "clients": clients,
        "seconds": round(took, 1),
        "answers": done,
        "errors": len(wrong),
        "kinds_of_errors": sorted(set(wrong)),
        "answers_per_second": round(done / took, 2),
        "chunks_with_text_per_second": round(tokens / took, 1),
        "first_token_s": {"median": round(statistics.median(firsts), 2), "worst": round(max(firsts), 2)} if firsts else {},
    }


def crowded(url: str, clients: int, seconds: float) -> dict[str, Any]:
    """The crowd asks; meanwhile the server's memory is looked at."""
    import subprocess

    words = [sys.executable, __file__, "--crowd", url, "--clients", str(clients), "--seconds", str(seconds)]
    asking = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    memory, me, opened = [], psutil.Process(), []
    while asking.poll() is None:
        memory.append(me.memory_info().rss / 2**20)
        opened.append(me.num_fds())
        time.sleep(1)
    assert asking.stdout
    told = json.loads(asking.stdout.read())
    third = len(memory) // 3
    return {
        **told,
        "server_memory_mib": {
            "first_third": round(statistics.mean(memory[:third])),
            "second_third": round(statistics.mean(memory[third : 2 * third])),
            "last_third": round(statistics.mean(memory[2 * third :])),
        },
        "files_open": {"most": max(opened), "after": me.num_fds()},
    }


def main() -> None:
    """Measure; or be a client of the measurement."""
    options = argparse.ArgumentParser()
    options.add_argument("--clients", type=int, default=200)
    options.add_argument("--seconds", type=float, default=120)
    options.add_argument("--layers", type=int, default=14)
    options.add_argument("--date", default=time.strftime("%Y-%m-%d"))
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "serve-cpu.json")
    options.add_argument("--ask", default="", help=argparse.SUPPRESS)
    options.add_argument("--crowd", default="", help=argparse.SUPPRESS)
    options.add_argument("--bias", default="", help=argparse.SUPPRESS)
    options.add_argument("--rounds", type=int, default=0, help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.ask:
        ask(asked.ask, asked.bias, asked.rounds)
    elif asked.crowd:
        print(json.dumps(asyncio.run(crowd(asked.crowd, asked.clients, asked.seconds))))
    else:
        measure(asked)


def measure(asked: argparse.Namespace) -> None:
    """Serve, measure, print and write."""
    import torch
    import transformers

    torch.set_num_threads(1)
    result: dict[str, Any] = {
        "date": asked.date,
        "cpu": cpu(),
        "load_before": [round(value, 1) for value in os.getloadavg()],
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__},
        "models": "random, Llama-shaped, float32, two rank 8 adapters, 1 torch thread",
        "answer_tokens": TOKENS,
    }
    with serving(asked.layers) as (models, url, parameters):
        result["overhead"] = {"parameters": parameters, **overhead(models, url)}
        result["swap"] = {"parameters": parameters, **swap(models)}
    if asked.clients:
        with serving(2) as (_, url, parameters):
            result["crowd"] = {"parameters": parameters, **crowded(url, asked.clients, asked.seconds)}
    result["load_after"] = [round(value, 1) for value in os.getloadavg()]
    print(json.dumps(result, indent=2))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(result, indent=2) + "\n")


@contextlib.contextmanager
def serving(layers: int) -> Iterator[tuple[dict[str, Any], str, int]]:
    """A server on a random model of so many layers: what it serves, its address, and the model's size."""
    from studio.http.server import listen
    from studio.models.settings import Model
    from studio.serving import server as servers
    from studio.serving.application import Dispatcher
    from studio.serving.assemble import Source, assemble
    from studio.serving.limits import Limits
    from tests.export.conftest import make_adapter
    from tests.tiny import make_model

    big: dict[str, Any] = {
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_attention_heads": 12,
        "num_key_value_heads": 12,
        "head_dim": 64,
    }
    with tempfile.TemporaryDirectory() as folder:
        base = make_model(Path(folder) / "base", num_hidden_layers=layers, **big)
        held = Model(name=str(base), quantization="none", dtype="fp32", attention="sdpa")
        adapters = {
            name: make_adapter(held, Path(folder) / name, strength) for name, strength in (("shop", 0.02), ("desk", 0.03))
        }
        limits = Limits(concurrency=32, queue=1000, drain=1)
        dispatcher, listener = Dispatcher(), listen("127.0.0.1", 0)
        wanted = [Source(name, name, held, path, threads=1) for name, path in adapters.items()]
        models = assemble(wanted, limits, "cpu", 1, dispatcher)
        app = servers.application(models, dispatcher, limits, None)
        ready, ended = threading.Event(), threading.Event()
        running = threading.Thread(target=servers.serve, args=(app, listener, limits, ready.set, ended), daemon=True)
        running.start()
        ready.wait(300)
        engine: Any = models["shop"].scheduler.engine
        parameters = sum(weight.numel() for weight in engine._inner.parameters())
        yield models, f"http://127.0.0.1:{listener.getsockname()[1]}/v1", parameters
        ended.set()
        running.join(30)


def cpu() -> str:
    """The CPU's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} threads" if names else platform.processor()


if __name__ == "__main__":
    main()
