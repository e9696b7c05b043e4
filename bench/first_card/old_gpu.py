"""Part 8: what an RTX 20 or T4 would compute: fp16, no flash and no cuDNN attention, rows of 2,048 tokens."""

from __future__ import annotations

import contextlib
from typing import Any
from unittest import mock

from bench.first_card.bench import BIG, Bench, Steps, build, free, job, rows
from studio.hardware.memory_config import MemoryConfig
from studio.hardware.peak import estimate
from studio.models import finding
from studio.models.dims import model_dims


def measure(bench: Bench) -> None:
    """One model in fp16 as on compute capability 7.5: the path that is chosen, its memory against the estimate."""
    import torch

    config = bench.config(BIG[0])
    length = bench.sizes(2048, 48)
    with bench.check("fp16 without flash attention") as values, contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(torch.cuda, "get_device_capability", return_value=(7, 5)))
        if not bench.pretend:
            stack.callback(torch.backends.cuda.enable_flash_sdp, True)
            stack.callback(torch.backends.cuda.enable_cudnn_sdp, True)
            torch.backends.cuda.enable_flash_sdp(False)
            torch.backends.cuda.enable_cudnn_sdp(False)
        base = build(config, dtype="fp16")
        free()
        values |= _steps(bench, base, length, config)
    with bench.check("an old GPU's plan takes no bfloat16"):
        _plan(bench)


def _steps(bench: Bench, base: Any, length: int, config: dict[str, Any]) -> dict[str, Any]:
    import torch

    asked = job(bench.folder, rows([length] * 2, base.config.vocab_size), dtype="fp16", varlen_attention=True)
    with mock.patch("studio.training.attention.attend_varlen", _refused):
        steps = Steps(base, asked)
    try:
        loss = [steps.step().item() for _ in range(2)][-1]
        assert loss == loss, "the loss is no number"
        path, peak = steps.path, torch.cuda.max_memory_allocated()
    finally:
        steps.close()
    assert "row by row" in path, path
    planned = estimate(
        model_dims(config),
        MemoryConfig(
            dtype="fp16",
            optimizer="adamw",
            rows=1,
            length=2 * length,
            row=length,
            fused=True,
            reuse_dequantized=True,
            answer_rows=1,
        ),
    )
    predicted = sum(item.bytes for item in planned.items if item.name not in ("evaluation", "CUDA context", "fragmentation"))
    assert bench.pretend or peak < 1.1 * predicted, f"{peak / predicted - 1:+.0%} above the estimate"
    return {"path": path, "peak": peak, "predicted": predicted}


def _refused(*_: Any, **__: Any) -> Any:
    raise RuntimeError("FlashAttention only supports Ampere GPUs or newer.")


def _plan(bench: Bench) -> None:

    from studio import planner
    from studio.hardware import machine
    from studio.models import presets
    from studio.spec import RunSpec

    asked = RunSpec.model_validate({"name": "old", "model": {"name": BIG[0]}, "data": {"train": "rows.jsonl"}})
    found = finding.FoundModel(BIG[0], BIG[0], None, False, config=presets.config(BIG[0]) or {})
    plan = planner.resolve(asked, machine.probe("T4"), found, planner.rows(rows([500] * 64, 1000)))
    assert plan.spec.model.dtype == "fp16", plan.spec.model.dtype
