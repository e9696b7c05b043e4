"""Part 6: tokens a second of training against plain transformers with peft, A B A B on the same rows; syncs and kernels."""

from __future__ import annotations

import time
from typing import Any

from bench.first_card.bench import BIG, GIB, Bench, Steps, build, free, job, rows
from studio.hardware import speed
from studio.hardware.memory_config import MemoryConfig
from studio.models.dims import model_dims

VARIANTS: dict[str, dict[str, Any]] = {
    "as planned": {},
    "optimizer in 8 bit": {"optimizer": "adamw_8bit"},
    "attention row by row": {"varlen_attention": False},
    "every second layer recomputed": {"recompute_every": 2},
    "without checkpointing": {"gradient_checkpointing": False},
    "adapters alone": {"fused_adapters": False},
    "the model's own norms": {"fused_norms": False},
    "without Triton": {"triton_kernels": False},
    "inputs of layers in RAM": {"activation_offloading": True},
}


def measure(bench: Bench) -> None:
    """8B with two rows of 2,048 tokens, and 0.5B, each against plain transformers and peft."""
    import torch

    total = torch.cuda.mem_get_info()[1]
    for name, needed in ((BIG[2], 10 * GIB), (BIG[0], 4 * GIB)):
        label = name.rpartition("/")[2]
        if total < needed:
            bench.note(label, None, "this GPU is smaller")
            continue
        length, count = bench.sizes((2048, 2), (32, 2))
        base = build(bench.config(name))
        data = rows([length] * count, base.config.vocab_size)
        for variant, settings in VARIANTS.items():
            if total < 2.2 * needed and (settings.get("gradient_checkpointing") is False or "recompute_every" in settings):
                bench.note(f"{label}, {variant}", None, "this GPU is smaller")
                continue
            with bench.check(f"{label}, {variant}") as values:
                values |= _ours(bench, base, job(bench.folder, data, **settings), name)
            free()
        with bench.check(f"{label}, against transformers and peft in turn") as values:
            ours, theirs = [], []
            for _ in range(2):
                ours.append(_ours(bench, base, job(bench.folder, data), name)["tokens_per_second"])
                theirs.append(_plain(bench, base, data))
                free()
            values |= {"studio": ours, "plain": theirs, "ratio": round(sum(ours) / sum(theirs), 3)}
            assert bench.pretend or values["ratio"] >= 1.0, f"{values['ratio']} of plain transformers"
        del base
        free()
        if bench.pretend:
            break


def _ours(bench: Bench, base: Any, asked: Any, name: str) -> dict[str, Any]:
    """Tokens a second, the share of the GPU's rate, time to the first step, waits of the host, kernels a step."""
    import torch

    from studio.hardware import machine

    began = time.perf_counter()
    steps = Steps(base, asked)
    try:
        steps.step()
        torch.cuda.synchronize()
        first = time.perf_counter() - began
        count, began = bench.sizes(4, 1), time.perf_counter()
        for _ in range(count):
            steps.step()
        queued = time.perf_counter() - began
        torch.cuda.synchronize()
        took = (time.perf_counter() - began) / count
        counted = {} if bench.pretend else _profile(steps)
    finally:
        path = steps.path
        steps.close()
    tokens = int(asked.train.lengths.sum())
    dims = model_dims(bench.config(name))
    config = MemoryConfig(rows=1, length=tokens, checkpointing=asked.training.gradient_checkpointing, varlen=True, fused=True)
    gpu = machine.probe().gpu
    work = tokens * speed.flops_per_token(dims, config, 2 / 3)
    return {
        "path": path,
        "tokens_per_second": round(tokens / took, 1),
        "share_of_peak": round(work / took / gpu.flops, 3) if gpu and gpu.flops else None,
        "first_step_s": round(first, 2),
        "step_ms": round(took * 1000, 1),
        "host_ms": round(queued / count * 1000, 1),
        "peak": torch.cuda.max_memory_allocated(),
        **counted,
    }


def _profile(steps: Steps) -> dict[str, Any]:
    """Kernels and waits of the host in one step."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        steps.step()
    events = seen.key_averages()
    kernels = sum(event.count for event in events if event.key == "cudaLaunchKernel")
    waits = {event.key: event.count for event in events if "Synchronize" in event.key}
    return {"kernels": kernels, "waits": waits}


def _plain(bench: Bench, base: Any, data: Any) -> float:
    """The same step as transformers and peft have it: its loss over all logits, checkpointing, fused AdamW."""
    import torch
    from peft import LoraConfig, get_peft_model

    model: Any = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
    model.enable_input_require_grads()
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=2e-4, fused=True)
    ids = torch.stack([torch.from_numpy(data[row][0]).long() for row in range(len(data))]).to("cuda")
    labels = torch.stack(
        [
            torch.from_numpy(data[row][0]).long().masked_fill(torch.from_numpy(data[row][1]) == 0, -100)
            for row in range(len(data))
        ]
    ).to("cuda")

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    try:
        step()
        torch.cuda.synchronize()
        count, began = bench.sizes(4, 1), time.perf_counter()
        for _ in range(count):
            step()
        torch.cuda.synchronize()
        return round(ids.numel() * count / (time.perf_counter() - began), 1)
    finally:
        model.activation_checkpointing_disable()
        model.disable_input_require_grads()
        model.unload()
        base.eval()
