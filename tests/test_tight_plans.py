"""A plan that leaves little of the GPU's memory says so, and what loses many rows is not the first thing that is offered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from studio import planner
from studio.hardware.machine import probe
from studio.planner import Plan
from studio.planner.rows import Rows
from studio.spec import parse
from tests.test_planner import Found, presets, some_rows


def plan(base: str, gpu: str, rows: Rows | None = None, **sections: object) -> Plan:
    asked = {"data": {"train": "rows.jsonl"}, "model": {"name": base}, **sections}
    machine = replace(probe(gpu), disk_free=1 << 42)
    return planner.resolve(parse(asked), machine, Found(presets.config(base) or {}), rows or some_rows())


@pytest.mark.parametrize("gpu", ["RTX 3060", "RTX 4060 Ti", "RTX 4090", "T4"])
@pytest.mark.parametrize("base", ["Qwen/Qwen2.5-7B-Instruct", "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen3-4B"])
def test_a_plan_says_that_it_is_tight_where_it_is(base: str, gpu: str) -> None:
    made = plan(base, gpu)
    said = [warning for warning in made.warnings if warning.startswith("tight:")]
    assert bool(said) == (0.95 * made.memory_budget < made.memory.total <= made.memory_budget)
    assert all("leaves more" in warning for warning in said)


def test_a_tight_plan_names_the_setting_that_eases_it() -> None:
    made = plan("Qwen/Qwen2.5-7B-Instruct", "RTX 4090")
    room = made.memory.total / 0.97
    squeezed = replace(probe("RTX 4090"), disk_free=1 << 42)
    assert squeezed.gpu is not None
    gpu = replace(squeezed.gpu, free=round(room / 0.95))
    settings = made.spec.training
    asked = parse(
        {
            "data": {"train": "rows.jsonl", "max_length": made.spec.data.max_length},
            "model": {"name": "Qwen/Qwen2.5-7B-Instruct", "quantization": made.spec.model.quantization},
            "training": {
                "micro_batch": settings.micro_batch,
                "batch_size": settings.batch_size,
                "gradient_checkpointing": settings.gradient_checkpointing,
                "packing": settings.packing,
                "optimizer": settings.optimizer,
                "reuse_dequantized": settings.reuse_dequantized,
            },
        }
    )
    config = presets.config("Qwen/Qwen2.5-7B-Instruct") or {}
    again = planner.resolve(asked, replace(squeezed, gpus=(gpu,)), Found(config), some_rows())
    (said,) = [warning for warning in again.warnings if warning.startswith("tight:")]
    expected = "training.micro_batch" if settings.micro_batch > 1 else "training.gradient_checkpointing"
    assert expected in said or settings.gradient_checkpointing


@pytest.mark.slow
def test_what_leaves_out_most_rows_is_offered_after_smaller_models() -> None:
    lengths = np.full(2000, 3000)
    rows = Rows(lengths, int(lengths.sum() * 0.7), lengths[:200], answer=120)
    made = plan("meta-llama/Llama-3.1-8B-Instruct", "RTX 2060", rows)
    assert not made.fits
    kinds = [tuple(item.changes) for item in made.alternatives]
    shorter = [index for index, kind in enumerate(kinds) if "data.max_length" in kind]
    smaller = [index for index, kind in enumerate(kinds) if "model.name" in kind]
    assert smaller, "a smaller model is offered"
    assert not shorter or min(shorter) > max(smaller)
