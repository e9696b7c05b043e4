"""What the server costs over the bare engine, how it bears many clients, and what swapping adapters takes.

The model is random, small and Llama-shaped: 94 M parameters by default, about 20 tokens a second on a core, so that a
token's own work is of a real size. Everything is on this machine and bounded: `--clients`, `--seconds`.

    python bench/serve.py [--clients 200] [--seconds 60] [--layers 14] [--out bench/results/serve-cpu.json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
import psutil

from studio.models.settings import Model
from studio.serving import server as servers
from studio.serving.asgi import Post
from studio.serving.assemble import Source, assemble
from studio.serving.job import Job
from studio.serving.limits import Limits
from studio.serving.transformers_engine import TransformersEngine
from studio.serving.writing import Writer
from tests.export.conftest import make_adapter
from tests.tiny import make_model

TOKENS = 48
"""Tokens of one answer; the end is biased away, so that every answer has as many."""
ASK = [{"role": "user", "content": "what is the price of the blue lamp please " * 4}]
ROUNDS = 5


def median(values: list[float]) -> float:
    return statistics.median(values)


def bare(engine: TransformersEngine, words: Any, variant: str, bias: dict[int, float]) -> tuple[float, float]:
    """Tokens a second, and milliseconds to the first token, of the engine alone in this thread."""
    from studio.serving.job import Sampling

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
    return (TOKENS - 1) / (ended - first), (first - begun) * 1000


def streamed(client: httpx.Client, url: str, model: str, bias: dict[str, float]) -> tuple[float, float]:
    """The same over the API, streaming, as a client sees it."""
    asked = {"model": model, "messages": ASK, "max_tokens": TOKENS, "stream": True, "logit_bias": bias}
    times: list[float] = []
    begun = time.perf_counter()
    with client.stream("POST", f"{url}/chat/completions", json=asked) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                times.append(time.perf_counter())
    return (TOKENS - 1) / (times[-1] - times[0]), (times[0] - begun) * 1000


def overhead(models: dict[str, Any], url: str, ends: frozenset[int]) -> dict[str, Any]:
    """Bare engine and server in turn, round by round, so that a busy machine is the same for both."""
    served = models["shop"]
    bias = dict.fromkeys(ends, -100.0)
    rates: dict[str, list[float]] = {"bare": [], "served": []}
    firsts: dict[str, list[float]] = {"bare": [], "served": []}
    with httpx.Client(timeout=300) as client:
        streamed(client, url, "shop", {str(token): value for token, value in bias.items()})
        for _ in range(ROUNDS):
            rate, first = in_thread(lambda: bare(served.scheduler.engine, served.words, served.variant, bias))
            rates["bare"].append(rate)
            firsts["bare"].append(first)
            rate, first = streamed(client, url, "shop", {str(token): value for token, value in bias.items()})
            rates["served"].append(rate)
            firsts["served"].append(first)
    lost = [1 - served / alone for alone, served in zip(rates["bare"], rates["served"], strict=True)]
    later = [served - alone for alone, served in zip(firsts["bare"], firsts["served"], strict=True)]
    return {
        "tokens_per_second": {name: round(median(found), 2) for name, found in rates.items()},
        "first_token_ms": {name: round(median(found), 2) for name, found in firsts.items()},
        "overhead_percent": round(100 * median(lost), 2),
        "overhead_percent_by_round": [round(100 * value, 2) for value in lost],
        "first_token_overhead_ms": round(median(later), 2),
        "first_token_overhead_ms_by_round": [round(value, 2) for value in later],
        "promised": {"overhead_percent": 5, "first_token_overhead_ms": 2},
    }


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
    return {"median_ms": round(median(times), 2), "worst_ms": round(max(times), 2), "promised_ms": 50}


async def crowd(url: str, clients: int, seconds: float) -> dict[str, Any]:
    """Many clients that stream answer after answer over their own connections."""
    end = time.monotonic() + seconds
    firsts: list[float] = []
    done = tokens = 0
    wrong: list[str] = []
    memory: list[float] = []
    me = psutil.Process()

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

    async def look() -> None:
        while time.monotonic() < end:
            memory.append(me.memory_info().rss / 2**20)
            await asyncio.sleep(1)

    begun = time.monotonic()
    await asyncio.gather(look(), *(one(place) for place in range(clients)))
    took = time.monotonic() - begun
    half = len(memory) // 2
    return {
        "clients": clients,
        "seconds": round(took, 1),
        "answers": done,
        "errors": len(wrong),
        "kinds_of_errors": sorted(set(wrong)),
        "answers_per_second": round(done / took, 2),
        "chunks_with_text_per_second": round(tokens / took, 1),
        "first_token_s": {"median": round(median(firsts), 2), "worst": round(max(firsts), 2)} if firsts else {},
        "process_memory_mib": {"halfway": round(memory[half]), "end": round(memory[-1])} if memory else {},
        "note": "clients and server share one process and its two busy cores",
    }


def main() -> None:
    """Measure, print and write."""
    options = argparse.ArgumentParser()
    options.add_argument("--clients", type=int, default=200)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--layers", type=int, default=14)
    options.add_argument("--date", default=time.strftime("%Y-%m-%d"))
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "serve-cpu.json")
    asked = options.parse_args()
    import torch
    import transformers

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        big = {
            "hidden_size": 768,
            "intermediate_size": 2048,
            "num_attention_heads": 12,
            "num_key_value_heads": 12,
            "head_dim": 64,
        }
        base = make_model(Path(folder) / "base", num_hidden_layers=asked.layers, **big)
        held = Model(name=str(base), quantization="none", dtype="fp32", attention="sdpa")
        adapters = {
            name: make_adapter(held, Path(folder) / name, strength) for name, strength in (("shop", 0.02), ("desk", 0.03))
        }
        limits = Limits(concurrency=32, queue=1000, drain=1)
        post, listener = Post(), servers.listen("127.0.0.1", 0)
        wanted = [Source(name, name, held, path, threads=1) for name, path in adapters.items()]
        models = assemble(wanted, limits, "cpu", 1, post)
        gate = servers.application(models, post, limits, None)
        ready, ended = threading.Event(), threading.Event()
        running = threading.Thread(target=servers.serve, args=(gate, listener, limits, ready.set, ended), daemon=True)
        running.start()
        ready.wait(300)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        parameters = sum(weight.numel() for weight in models["shop"].scheduler.engine._inner.parameters())
        result: dict[str, Any] = {
            "date": asked.date,
            "cpu": cpu(),
            "load_before": [round(value, 1) for value in os.getloadavg()],
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
            "model": f"{parameters / 1e6:.0f} M parameters, float32, two LoRA adapters of rank 8 on all linear layers, 1 torch thread",
            "answer_tokens": TOKENS,
        }
        result["overhead"] = overhead(models, url, models["shop"].words.ends)
        result["swap"] = swap(models)
        if asked.clients:
            result["crowd"] = asyncio.run(crowd(url, asked.clients, asked.seconds))
        ended.set()
        running.join(30)
    result["load_after"] = [round(value, 1) for value in os.getloadavg()]
    print(json.dumps(result, indent=2))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(result, indent=2) + "\n")


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
