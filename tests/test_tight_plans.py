"""A plan that leaves little of the GPU's memory says so, and what loses many rows is not the first thing that is offered."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from studio import planner
from studio.hardware.machine import probe
from studio.planner import Plan, shortening
from studio.planner.rows import Rows
from studio.spec import edit, parse
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


@pytest.mark.parametrize("training", [{}, {"micro_batch": 4}, {"micro_batch": 1, "recompute_every": 2}])
def test_a_tight_plan_names_a_setting_that_does_ease_it(training: dict[str, object]) -> None:
    base = "Qwen/Qwen2.5-7B-Instruct"
    made = plan(base, "RTX 4090", training=training)
    machine = replace(probe("RTX 4090"), disk_free=1 << 42)
    assert machine.gpu is not None
    squeezed = replace(machine, gpus=(replace(machine.gpu, free=round(made.memory.total / 0.97 / 0.95)),))

    def planned(**changed: object) -> Plan:
        again = edit(made.spec, {f"training.{field}": value for field, value in changed.items()})
        return planner.resolve(again, squeezed, Found(presets.config(base) or {}), some_rows())

    tight = planned()
    (said,) = [warning for warning in tight.warnings if warning.startswith("tight:")]
    assert said.endswith("A run that runs out of memory goes on with less at once")
    field, value = re.findall(r"; training\.(\w+)(?: (\d+))? leaves more", said)[0]
    assert planned(**{field: int(value) if value else True}).memory.total < tight.memory.total


def few_long_rows() -> Rows:
    """1,000 rows of which five are far longer than the others, each by itself."""
    lengths = np.full(1000, 300)
    lengths[:5] = (4000, 3000, 1400, 1300, 1200)
    return Rows(lengths, int(lengths.sum() * 0.7), lengths[500:600], answer=120)


def test_a_row_is_left_out_for_memory_only_where_the_next_shorter_one_is_needed() -> None:
    rows = few_long_rows()
    made = plan("meta-llama/Llama-3.1-8B-Instruct", "RTX 4060", rows)
    longer = {4000: 3000, 3000: 1400, 1400: 1300, 1300: 1200}
    chosen = made.spec.data.max_length
    assert made.fits
    assert chosen in longer.values(), "one of the few long rows is the longest that is kept"
    next_longer = next(length for length, shorter in longer.items() if shorter == chosen)
    again = plan("meta-llama/Llama-3.1-8B-Instruct", "RTX 4060", rows, data={"train": "r.jsonl", "max_length": next_longer})
    assert again.memory.total > 0.95 * again.memory_budget, "the row was left out though it fits"


@pytest.mark.parametrize(
    ("filled", "kept"),
    [
        ({100: 0.5, 200: 0.90, 300: 0.94, 400: 0.99}, 300),  # one row more left out, and some memory left
        ({100: 0.5, 200: 0.90, 300: 0.97, 400: 1.10}, 200),
        ({100: 0.96, 200: 0.97, 300: 0.98, 400: 0.99}, 400),  # none leaves any: as few rows as may be
        ({100: 0.94, 200: 0.97, 300: 0.98, 400: 0.99}, 400),  # three of 200 rows are too many for it
        ({100: 1.1, 200: 1.2, 300: 1.3, 400: 1.4}, 0),
    ],
)
def test_a_shortened_row_leaves_some_memory_where_that_costs_hardly_a_row(filled: dict[int, float], kept: int) -> None:
    rows = np.array([100] * 197 + [200, 300, 400])
    assert shortening.longest(rows, 500, filled.__getitem__) == kept


def test_a_plan_that_has_nothing_left_to_save_does_not_promise_to_go_on_with_less() -> None:
    made = plan("meta-llama/Llama-3.1-8B-Instruct", "RTX 4060", few_long_rows())
    assert (made.spec.training.micro_batch, made.spec.training.recompute_every) == (1, 1)
    (said,) = [warning for warning in made.warnings if warning.startswith("tight:")]
    assert "a run that runs out of memory fails" in said
    assert "goes on" not in said


def test_a_shorter_row_is_offered_as_long_as_fits_and_not_where_it_leaves_out_half_of_the_rows() -> None:
    lengths = np.full(1000, 300)
    lengths[:100] = np.linspace(1000, 4000, 100)
    base, gpu = "meta-llama/Llama-3.1-8B-Instruct", "RTX 4060"
    rows = Rows(lengths, int(lengths.sum() * 0.7), lengths[500:600], answer=120)
    assert plan(base, gpu, rows).fits, "with the inputs of layers in RAM"
    kept = {"training": {"activation_offloading": False}}
    made = plan(base, gpu, rows, **kept)
    assert not made.fits
    (offered,) = [item for item in made.alternatives if "data.max_length" in item.changes]
    length = offered.changes["data.max_length"]
    assert offered.cost == f"{rows.over(length)} rows over-long"
    next_longer = int(min(value for value in lengths if value > length + 60))
    assert plan(base, gpu, rows, data={"train": "r.jsonl", "max_length": length}, **kept).fits
    assert not plan(base, gpu, rows, data={"train": "r.jsonl", "max_length": next_longer}, **kept).fits
    many = replace(rows, lengths=np.where(lengths == 300, 3900, lengths))
    assert not [item for item in plan(base, gpu, many, **kept).alternatives if "data.max_length" in item.changes]


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
