"""Part 4: the plan's own choice under caps of memory, against what torch and the driver say was used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.first_card.bench import BIG, GIB, Bench, Steps, build, free, job, rows
from studio.core.errors import OutOfMemory
from studio.models import finding

CAPS = (7.0, 11.0, 14.9, 22.6)
"""GiB that a run may use on GPUs of 8, 12, 16 and 24 GB."""
ERROR = 0.06
"""How far the estimate may be from what was allocated and reserved."""
LENGTH = 2048


def measure(bench: Bench) -> None:
    """Each model under each cap that it fits; no run of a plan that fits may run out of memory."""
    import torch

    total = torch.cuda.mem_get_info()[1]
    for name in BIG:
        base = None
        for cap in bench.sizes(CAPS, CAPS[:1]):
            if cap * GIB > total:
                bench.note(f"{_short(name)} within {cap} GiB", None, "this GPU is smaller")
                continue
            with bench.check(f"{_short(name)} within {cap} GiB") as values:
                values |= _planned(bench, name, cap)
                base = base or build(bench.config(name))
                values |= _measured(bench, base, values["settings"], cap, total)
                values["error"] = round(values["allocated"] / values["predicted"] - 1, 4)
                assert values["fits"] or cap < CAPS[1], "the plan says that it does not fit"
                assert bench.pretend or abs(values["error"]) <= ERROR, f"{values['error']:+.1%} off the estimate"
        del base
        free()
        if bench.pretend:
            break


def _short(name: str) -> str:
    return name.rpartition("/")[2]


def _planned(bench: Bench, name: str, cap: float) -> dict[str, Any]:
    """What the planner decides for full-length rows and a GPU of which `cap` GiB may be used."""
    from dataclasses import replace

    from studio import planner
    from studio.hardware import machine
    from studio.spec import RunSpec

    here = machine.probe()
    assert here.gpu is not None
    size = round(cap * GIB / 0.95)
    gpu = replace(here.gpu, total=round(size / (1 - machine.DESKTOP)), free=size, held=0)
    length = bench.sizes(LENGTH, 64)
    data = rows([length] * 8, bench.config(name)["vocab_size"])
    values = {"name": "memory", "model": {"name": name, "quantization": "nf4"}, "data": {"train": "rows.jsonl"}}
    plan = planner.resolve(
        RunSpec.model_validate(values),
        replace(here, gpus=(gpu,)),
        finding.FoundModel(name, name, None, False, config=bench.config(name)),
        planner.rows(data),
    )
    training = plan.spec.training
    settings = training.model_dump(
        include={
            "micro_batch", "packing", "gradient_checkpointing", "recompute_every", "optimizer", "reuse_dequantized",
            "fused_adapters", "activation_offloading",
        }
    )  # fmt: skip
    settings |= {"fused_norms": False, "triton_kernels": False}  # the plan does not count what these save
    beside = ("evaluation", "CUDA context", "fragmentation")
    return {
        "fits": plan.fits,
        "predicted": sum(item.bytes for item in plan.memory.items if item.name not in beside),
        "total": plan.memory.total,
        "settings": {**settings, "max_length": plan.spec.data.max_length},
    }


def _measured(bench: Bench, base: Any, settings: dict[str, Any], cap: float, total: int) -> dict[str, Any]:
    """Three steps under the cap: what was allocated, reserved and used at most."""
    import torch

    free()
    wanted = dict(settings)
    length = wanted.pop("max_length")
    data = rows([length] * 8, base.config.vocab_size)
    cap_share = min(1.0, (cap * GIB - 512 * 2**20) / total)  # the context is beside what torch allocates
    if not bench.pretend:
        torch.cuda.set_per_process_memory_fraction(cap_share)
    found: dict[str, Any] = {}
    steps = None
    try:
        wanted["batch_size"] = max(2, wanted["micro_batch"])
        steps = Steps(base, job(Path(bench.folder), data, **wanted))
        for _ in range(3):
            steps.step()
        torch.cuda.synchronize()
        found = {
            "path": steps.path,
            "allocated": torch.cuda.max_memory_allocated(),
            "reserved": torch.cuda.max_memory_reserved(),
        }
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(
            f"out of memory under a plan that fits: {str(error)[:200]}", hint="Report it with this run's file."
        ) from None
    finally:
        if steps is not None:
            steps.close()
        if not bench.pretend:
            torch.cuda.set_per_process_memory_fraction(1.0)
    return found
