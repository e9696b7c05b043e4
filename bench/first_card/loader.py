"""Part 5: loading a base from disk as a run does: seconds, the process's memory, the GPU's memory meanwhile."""

from __future__ import annotations

import resource
import shutil
import time
from pathlib import Path
from typing import Any

from bench.first_card.bench import BIG, GIB, Bench, free


def measure(bench: Bench) -> None:
    """A random 3B model is written once and loaded in 4 and in 16 bit."""
    import torch

    config = bench.config(BIG[1])
    folder = bench.folder / "model"
    disk, ram = shutil.disk_usage(bench.folder).free, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if not bench.pretend and disk < 10 * GIB:
        bench.note("disk", None, f"{disk / GIB:.0f} GiB free: a model of 0.5B stands for one of 3B")
        config = bench.config(BIG[0])
    with bench.check("a model is written") as values:
        values["bytes"] = _write(folder, config, bench)
    for quantization in ("nf4", "none"):
        with bench.check(f"load_base, {quantization}") as values:
            free()
            values |= _load(folder, quantization)
            size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
            expected = size if quantization == "none" else 0.45 * size
            assert bench.pretend or values["peak_gpu"] < expected + 2 * GIB, "loading takes more GPU memory than the weights"
    peak = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - ram)
    bench.note("host memory while loading", None, bytes=peak, allocated=torch.cuda.memory_allocated())


def _write(folder: Path, config: dict[str, Any], bench: Bench) -> int:
    """A checkpoint of random weights in several files, with the starter's tokenizer beside it."""
    from bench.first_card.bench import build
    from studio.models.starter import folder as starter

    model = build(config, "none")
    model.save_pretrained(folder, max_shard_size="2GB")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (starter() / name).exists():
            shutil.copy(starter() / name, folder)
    del model
    free()
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _load(folder: Path, quantization: str) -> dict[str, Any]:
    import torch

    from studio.models.loading import load_base
    from studio.models.settings import Model

    asked = Model.model_validate({"name": str(folder), "quantization": quantization, "dtype": "bf16", "attention": "sdpa"})
    began = time.perf_counter()
    base = load_base(asked, "cuda")
    torch.cuda.synchronize()
    found = {
        "seconds": round(time.perf_counter() - began, 2),
        "peak_gpu": torch.cuda.max_memory_allocated(),
        "held_gpu": torch.cuda.memory_allocated(),
    }
    del base
    free()
    return found
