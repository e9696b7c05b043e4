"""Part 7: answers a second, of the base and with an adapter, one at a time and many; rows scored a second."""

from __future__ import annotations

import time
from typing import Any

from bench.first_card.bench import BIG, Bench, build, free, rows


def measure(bench: Bench) -> None:
    """A 3B model in 4 bit."""
    import torch
    from transformers import AutoTokenizer

    from studio.models.starter import folder as starter
    from studio.training import adapters
    from studio.training.settings import ResolvedAdapter

    tokenizer = AutoTokenizer.from_pretrained(starter())
    base = build(bench.config(BIG[1]))
    sides = (("base", base), ("tuned", adapters.attach(base, ResolvedAdapter(rank=16, alpha=32), 0).eval()))
    for side, model in sides:
        for count in (1, 16):
            with bench.check(f"{side}, {count} at once") as values:
                free()
                values |= _generated(bench, model, tokenizer, count)
        with bench.check(f"{side}, rows scored") as values:
            values |= _scored(bench, model)
    bench.note("peak", None, bytes=torch.cuda.max_memory_allocated())


def _generated(bench: Bench, model: Any, tokenizer: Any, count: int) -> dict[str, Any]:
    from studio.models import generation

    new = bench.sizes(64, 4)
    words = min(len(tokenizer), model.config.vocab_size)
    prompts = [rows([bench.sizes(64, 8)], words, seed)[0][0].tolist() for seed in range(count)]
    import torch

    torch.cuda.synchronize()
    began = time.perf_counter()
    with torch.autocast("cuda", torch.bfloat16):
        answers = generation.generate(model, prompts, tokenizer, new, batch_size=count)
    took = time.perf_counter() - began
    written = sum(answer.tokens for answer in answers)
    assert written > 0, "nothing was written"
    return {"tokens_per_second": round(written / took, 1), "tokens": written}


def _scored(bench: Bench, model: Any) -> dict[str, Any]:
    import torch

    data = rows([bench.sizes(512, 32)] * bench.sizes(8, 2), model.config.vocab_size)
    began = time.perf_counter()
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        losses: list[Any] = []
        for row in range(len(data)):
            ids = torch.from_numpy(data[row][0]).long()[None].to("cuda")
            losses.append(model(input_ids=ids, labels=ids, use_cache=False).loss)
    value = losses[-1].item()
    assert value == value, "the loss is no number"
    return {"rows_per_second": round(len(data) / (time.perf_counter() - began), 2)}
