"""A plan decides what was left open, says why, never changes what was given, and says what would fit."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio import planner
from studio.core.errors import DoesNotFit, HardwareError, SpecError
from studio.core.fields import leaves
from studio.data.encode import encode_file
from studio.data.settings import Data
from studio.hardware.history import RunMeasurement, seen
from studio.hardware.machine import Machine, probe
from studio.models import presets
from studio.planner import Plan, Rows
from studio.planner.rows import most_tokens, padding_share
from studio.planner.rows import rows as planned_rows
from studio.runs.records import RunLock
from studio.spec import RunSpec, nested, parse
from studio.training import optimizations
from tests.data.templates import tokenizer

GIB = 1 << 30
DETECTED = {"data.format", "data.system", "data.subset", "data.encoding", "data.limit", "model.revision", "model.chat_template"}
DETECTED |= {"model.hub_id", "model.license"}
DETECTED |= {"data.verifier", "data.control", "data.message_order"}  # no verifier is none, but for methods that sample
DETECTED |= {f"evaluation.judge.{name}" for name in ("ceiling", "key", "price_in", "price_out")}  # the terms of an API
DETECTED |= {"data.sheet", "data.header_row", "tracking.entity", "tracking.group", "training.max_steps", "adapter.start_from"}
DETECTED |= {"tracking.project", "tracking.job_type"}  # of W&B's own variables, if they are set
"""Optional fields that are not a plan's to decide: absent means none, or the data stage tells."""
QWEN3B, QWEN7B, QWEN8B = "Qwen/Qwen2.5-3B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen3-8B"


@dataclass
class Found:
    config: dict[str, Any]


def some_rows(count: int = 2000, mean: float = 5.0, longest: int = 1000, held_out: int = 200) -> Rows:
    lengths = np.clip(np.random.default_rng(0).lognormal(mean, 0.8, count), 20, longest).astype(np.int64)
    lengths[0] = longest
    return Rows(lengths, int(lengths.sum() * 0.7), lengths[:held_out], answer=120)


def plan(
    base: str = QWEN3B,
    gpu: str | None = "RTX 4090",
    rows: Rows | None = None,
    machine: Machine | None = None,
    past: Sequence[RunMeasurement] = (),
    **sections: Any,
) -> Plan:
    sections = {"data": {"train": "rows.jsonl"}, **sections}
    sections["model"] = {"name": base, **sections.get("model", {})}
    config = presets.config(base) or TINY
    machine = machine or probe(gpu)
    machine = replace(machine, disk_free=1 << 42)
    return planner.resolve(parse(sections), machine, Found(config), some_rows() if rows is None else rows, past)


TINY = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 2048,
    "tie_word_embeddings": True,
    "max_position_embeddings": 512,
    "dtype": "bfloat16",
}


@pytest.fixture
def cpu() -> Machine:
    return Machine("cpu", (), "a CPU", cores=8, ram=16 * GIB, ram_free=12 * GIB, disk_free=1 << 42)


def decided(made: Plan, field: str) -> planner.Decision:
    return next(item for item in made.decisions if item.field == field)


def value(spec: RunSpec, path: str) -> Any:
    here: Any = spec
    for key in path.split("."):
        here = here[int(key)] if isinstance(here, list) else getattr(here, key)
    return here


@pytest.mark.parametrize("model", [QWEN3B, QWEN8B, "starter"])
def test_nothing_a_plan_decides_is_left_open(model: str, cpu: Machine) -> None:
    wanted = [{"kind": "adapter"}, {"kind": "merged"}, {"kind": "gguf"}]
    made = plan(model, machine=cpu if model == "starter" else None, export=wanted)
    open_fields = {
        leaf.path
        for leaf in leaves(RunSpec)
        if hasattr(leaf, "optional") and "export" not in leaf.path and value(made.spec, leaf.path) is None
    }
    assert open_fields <= DETECTED
    exports = [target.model_dump() for target in made.spec.export]
    assert [item for item in exports if None in item.values()] == []
    assert all(item.reason for item in made.decisions)


def test_a_field_that_was_given_is_never_changed() -> None:
    given = {
        "model": {"quantization": "int8", "dtype": "fp16", "attention": "eager"},
        "data": {"train": "rows.jsonl", "max_length": 64, "overlong": "truncate", "replay": 0.1},
        "adapter": {"rank": 4, "alpha": 3},
        "training": {
            "learning_rate": 0.5,
            "batch_size": 6,
            "micro_batch": 3,
            "packing": False,
            "gradient_checkpointing": False,
            "recompute_every": 3,
            "optimizer": "paged_adamw_8bit",
            "eval_every": 7,
            "save_every": 9,
            "keep": "last",
            "threads": 3,
            **dict.fromkeys(optimizations.NAMES, False),
        },
        "evaluation": {"max_new_tokens": 5},
        "export": [{"kind": "merged", "merge_into": "original", "dtype": "fp32"}],
    }
    made = plan(**given)
    assert made.decisions == ()
    for section, fields in given.items():
        if isinstance(fields, dict):
            for name, wanted in fields.items():
                assert value(made.spec, f"{section}.{name}") == wanted, f"{section}.{name}"


def test_a_resolved_spec_is_planned_again_without_a_decision() -> None:
    made = plan()
    again = planner.resolve(
        made.spec, replace(probe("RTX 4090"), disk_free=1 << 42), Found(presets.config(QWEN3B) or {}), some_rows()
    )
    assert again.decisions == ()
    assert again.spec == made.spec
    assert again.memory == made.memory


def test_a_plan_of_an_8b_model_takes_less_than_two_seconds() -> None:
    began = time.process_time()
    plan(QWEN8B, rows=some_rows(50_000), gpu="RTX 3060")
    assert time.process_time() - began < 2


def test_what_fits_in_16_bit_without_recomputing_is_done_so() -> None:
    made = plan("Qwen/Qwen2.5-0.5B-Instruct", "RTX 4090")
    assert (made.spec.model.quantization, made.spec.training.gradient_checkpointing) == ("none", False)
    assert made.fits


def test_a_model_that_does_not_fit_in_16_bit_is_held_in_4_and_recomputed() -> None:
    made = plan(QWEN8B, "RTX 3060")
    assert (made.spec.model.quantization, made.spec.training.gradient_checkpointing) == ("nf4", True)
    assert made.fits
    assert "does not fit" in decided(made, "model.quantization").otherwise


@pytest.mark.parametrize(("gpu", "model", "dtype"), [
    ("RTX 3060", QWEN3B, "bf16"),
    ("RTX 2080 Ti", QWEN3B, "fp16"),
    ("RTX 2080 Ti", "google/gemma-3-1b-it", "fp32"),
])  # fmt: skip
def test_the_number_format_follows_the_card_and_spares_gemma_fp16(gpu: str, model: str, dtype: str) -> None:
    assert plan(model, gpu).spec.model.dtype == dtype


def test_fused_layers_leave_room_to_keep_activations_where_plain_ones_must_compute_them_again() -> None:
    fused, plain = (plan(QWEN7B, "RTX 3060", training={"fused_adapters": on}) for on in (None, False))
    assert fused.spec.training.recompute_every > plain.spec.training.recompute_every
    assert fused.rate
    assert plain.rate
    assert fused.rate.high > 1.1 * plain.rate.high
    assert "computed together" in decided(fused, "training.fused_adapters").reason


@pytest.mark.parametrize("gpu", ["RTX 3060", "RTX 4060 Ti 16GB"])
@pytest.mark.parametrize("base", [QWEN7B, "Qwen/Qwen3-4B"])
def test_another_choice_is_said_not_to_fit_only_where_no_settings_make_it_fit(base: str, gpu: str) -> None:
    made = plan(base, gpu)
    other = "none" if made.spec.model.quantization == "nf4" else "nf4"
    data = {"train": "rows.jsonl", "max_length": made.spec.data.max_length}
    fits = plan(base, gpu, model={"quantization": other}, data=data).fits
    assert ("does not fit" in decided(made, "model.quantization").otherwise) != fits


def test_where_no_way_to_hold_the_weights_fits_none_is_said_to() -> None:
    large = plan("microsoft/phi-4", "RTX 4060")
    assert not large.fits
    assert decided(large, "model.quantization").reason.startswith("no way to hold the weights fits, and this one takes least")
    assert "the fastest that fits" in decided(plan(QWEN7B, "RTX 4060"), "model.quantization").reason


def test_memory_that_is_left_keeps_the_activations_of_some_layers() -> None:
    some = plan(QWEN7B, "RTX 3060")
    all_layers = plan(QWEN7B, "RTX 3060", training={"gradient_checkpointing": True, "recompute_every": 1})
    assert (some.spec.training.gradient_checkpointing, some.spec.training.recompute_every) == (True, 4)
    chosen = decided(some, "training.recompute_every")
    assert chosen.reason == "memory is left: 21 of 28 layers keep their activations"
    assert chosen.otherwise.startswith("all layers: ")
    assert "slower" in chosen.otherwise
    assert "of 7 of 28 layers only the input is kept" in next(
        item.why for item in some.memory.items if item.name == "activations"
    )
    assert some.rate
    assert all_layers.rate
    assert some.rate.high > all_layers.rate.high


def test_a_gpu_is_filled_to_the_brim_only_where_that_is_much_faster() -> None:
    lengths = np.clip(np.random.default_rng(0).lognormal(5.3, 0.7, 2000), 20, 2048).astype(np.int64)
    middling = planner.Rows(lengths, int(lengths.sum() * 0.5), lengths[:100], answer=200)
    made = plan("meta-llama/Llama-3.1-8B-Instruct", "RTX 4060 Ti 16GB", rows=middling)
    whole = plan(
        "meta-llama/Llama-3.1-8B-Instruct", "RTX 4060 Ti 16GB", rows=middling, training={"gradient_checkpointing": False}
    )
    assert made.memory.total < 0.95 * made.memory_budget < whole.memory.total <= whole.memory_budget
    assert made.rate
    assert whole.rate
    assert made.rate.high < whole.rate.high < 1.15 * made.rate.high


@pytest.mark.parametrize(
    ("given", "on", "why"),
    [
        ({"adapter": {"dropout": 0.1}}, False, "dropout"),
        ({"adapter": {"kind": "dora"}}, False, "DoRA"),
        ({"model": {"quantization": "int8"}}, False, "int8"),
        ({}, True, "together"),
    ],
)
def test_adapters_are_computed_together_wherever_that_is_exact(given: dict[str, Any], on: bool, why: str) -> None:
    decision = decided(plan(**given), "training.fused_adapters")
    assert decision.value is on
    assert why in decision.reason


@pytest.mark.parametrize("model", [QWEN3B, "Qwen/Qwen2.5-0.5B-Instruct"])
def test_a_card_computes_at_least_4000_tokens_at_once_where_they_fit(model: str) -> None:
    made = plan(model, "RTX 4090")
    assert "4,000 tokens at once" in decided(made, "training.micro_batch").reason
    assert made.fits


def test_weights_unpacked_for_the_recomputation_are_kept_where_they_fit() -> None:
    made = plan(QWEN8B, "RTX 3060")
    without = plan(QWEN8B, "RTX 3060", training={"reuse_dequantized": False, "micro_batch": made.spec.training.micro_batch})
    assert decided(made, "training.reuse_dequantized").value is True
    assert made.memory.of("layer at work") - without.memory.of("layer at work") > 200 << 20
    assert made.rate
    assert without.rate
    assert made.rate.high > without.rate.high
    assert decided(plan(QWEN3B, "RTX 4090"), "training.reuse_dequantized").value is False


def test_the_learning_rate_follows_the_size(cpu: Machine) -> None:
    rates = {model: plan(model, "RTX 4090").spec.training.learning_rate for model in (QWEN3B, QWEN7B)}
    assert rates == {QWEN3B: 2e-4, QWEN7B: 1e-4}
    assert plan("starter", machine=cpu).spec.training.learning_rate == 5e-3


@pytest.mark.parametrize(("count", "batch"), [(6, 4), (40, 8), (500, 8), (1500, 32), (100_000, 64)])
def test_the_batch_leaves_enough_steps(count: int, batch: int) -> None:
    made = plan(rows=some_rows(count, held_out=0))
    assert made.spec.training.batch_size == batch
    if count >= 500:
        assert made.counts.steps >= 100


def test_the_batch_is_a_multiple_of_a_micro_batch_that_was_given() -> None:
    made = plan(training={"micro_batch": 3})
    assert made.spec.training.batch_size is not None
    assert made.spec.training.batch_size % 3 == 0


def test_the_longest_row_is_the_longest_found_within_the_models_reach() -> None:
    assert plan(rows=some_rows(longest=900)).spec.data.max_length == 900
    made = plan("starter", rows=some_rows(longest=900))
    assert made.spec.data.max_length == 512
    assert made.counts.dropped == int((some_rows(longest=900).lengths > 512).sum()) > 0
    assert f"{made.counts.dropped} rows" in decided(made, "data.max_length").reason
    assert any("longer than 512" in warning for warning in made.warnings)


def test_a_longest_row_is_shortened_for_memory_only_if_hardly_any_row_is_lost() -> None:
    rows = some_rows(longest=1000)
    rows.lengths[:3] = 30_000
    made = plan(QWEN7B, "RTX 3060", rows=rows)
    assert made.fits
    assert (made.spec.data.max_length or 0) < 30_000
    assert made.counts.dropped <= 0.05 * len(rows)
    rows.lengths[:300] = 30_000
    assert not plan(QWEN7B, "RTX 3060", rows=rows).fits


def test_rows_of_different_lengths_are_packed_and_equal_ones_are_not() -> None:
    equal = Rows(np.full(500, 100), 35_000, np.full(50, 100), 50)
    assert plan().spec.training.packing is True
    assert plan(rows=equal).spec.training.packing is False
    assert plan(rows=equal).counts.padding == 0


def test_padding_is_what_a_shuffled_batch_would_be_padded_to() -> None:
    assert padding_share(np.array([10, 10, 10, 10]), 2, 2) == 0
    assert padding_share(np.array([10, 30]), 2, 2) == pytest.approx(1 - 40 / 60)
    assert padding_share(np.array([10, 30]), 2, 1) == 0
    assert most_tokens([1, 5, 3], 2) == 8


def test_without_held_out_rows_the_last_adapter_is_kept_and_a_warning_says_so() -> None:
    made = plan(rows=some_rows(held_out=0), data={"train": "rows.jsonl", "holdout": 0.0})
    assert made.spec.training.keep == "last"
    assert any("no rows are held out" in warning for warning in made.warnings)
    assert plan().spec.training.keep == "best"


def test_a_cross_validation_is_counted_and_makes_every_row_evidence() -> None:
    made = plan(rows=some_rows(held_out=0), data={"train": "rows.jsonl", "holdout": 0}, evaluation={"folds": 5})
    assert not any("no rows are held out" in warning for warning in made.warnings)
    line = next(line for line in made.summary if line.startswith("cross-validation"))
    assert "5 more trainings" in line
    assert " to " in line
    assert any("cross-validating" in name for name, _ in made.disk.items)


def test_few_held_out_rows_are_warned_about_and_held_out_rows_of_the_users_own_are_not_given_up() -> None:
    own = "dataset:handbook-held-out@1"
    for train, holdout, advice in (
        ("rows.jsonl", 0.1, "data.holdout 0 and evaluation.folds 5"),
        ("rows.jsonl", "own.jsonl", "add some to data.holdout"),
        ("rows.jsonl", own, "raise `holdout` where the rows are made"),
        (own, 0.1, "raise `holdout` where the rows are made"),
    ):
        data = {"train": train, "holdout": holdout}
        rows = replace(some_rows(held_out=12), held_out_from=planner.held_out_from(Data.model_validate(data), {own}))
        warning = next(item for item in plan(rows=rows, data=data).warnings if item.startswith("only 12 rows held out"))
        assert advice in warning
        assert ("evaluation.folds" in warning) == ("folds" in advice)


def test_held_out_rows_that_the_evidence_cannot_measure_are_counted_before_the_start() -> None:
    rows = replace(some_rows(held_out=40), held_out=np.array([512] * 30 + [513] * 10))
    data = {"train": "rows.jsonl", "holdout": "own.jsonl", "max_length": 100}
    said = plan(rows=rows, data=data).warnings
    assert any(item.startswith("10 of 40 held-out rows are longer than 512 tokens and will not be measured") for item in said)
    assert not any("will not be measured" in item for item in plan(rows=some_rows(held_out=40)).warnings)


def test_checkpoints_come_with_evaluations() -> None:
    made = plan()
    assert made.spec.training.eval_every == made.spec.training.save_every
    assert 8 <= made.counts.steps / (made.spec.training.eval_every or 1) <= 13
    assert plan(training={"eval_every": 5}).spec.training.save_every == 5


def test_steps_are_those_the_trainer_will_take() -> None:
    from studio.training.schedule import total_steps

    made = plan(rows=some_rows(777), training={"epochs": 1.5})
    assert made.counts.steps == total_steps(777, made.spec.training.batch_size, made.spec.training.epochs)
    assert plan(training={"max_steps": 3}).counts.steps == 3


def test_a_very_small_model_on_a_cpu_takes_one_thread_and_a_large_one_all(cpu: Machine) -> None:
    assert plan("starter", machine=cpu).spec.training.threads == 1
    assert plan("Qwen/Qwen2.5-0.5B-Instruct", machine=cpu).spec.training.threads == 8


def test_short_rows_are_computed_together_though_one_by_one_is_simpler(cpu: Machine) -> None:
    made = plan("starter", machine=cpu, training={"packing": False})
    assert made.spec.training.micro_batch > 1


def test_a_cpu_computes_in_bf16_only_where_that_is_faster(cpu: Machine) -> None:
    fast = replace(cpu, cpu_flags=frozenset({"avx512_bf16"}))
    assert plan("Qwen/Qwen2.5-0.5B-Instruct", machine=cpu).spec.model.dtype == "fp32"
    assert plan("Qwen/Qwen2.5-0.5B-Instruct", machine=fast).spec.model.dtype == "bf16"
    assert plan("starter", machine=fast).spec.model.dtype == "fp32"


def test_bf16_on_a_cpu_that_emulates_it_is_warned_about_and_timed_so(cpu: Machine) -> None:
    wanted = {"dtype": "bf16"}
    slow = plan("Qwen/Qwen2.5-0.5B-Instruct", machine=cpu, model=wanted)
    fast = plan("Qwen/Qwen2.5-0.5B-Instruct", machine=replace(cpu, cpu_flags=frozenset({"amx_bf16"})), model=wanted)
    assert any("no bfloat16 products" in warning for warning in slow.warnings)
    assert not any("no bfloat16 products" in warning for warning in fast.warnings)
    assert slow.rate is not None
    assert fast.rate is not None
    assert slow.rate.high < fast.rate.high / 10


def test_what_does_not_fit_says_so_with_settings_that_do() -> None:
    fixed = {"micro_batch": 16, "batch_size": 16, "gradient_checkpointing": False, "packing": False}
    made = plan(QWEN7B, "RTX 3060", model={"quantization": "none"}, training=fixed)
    assert not made.fits
    assert made.alternatives
    assert all(item.bytes <= made.memory_budget for item in made.alternatives)
    with pytest.raises(HardwareError) as caught:
        made.refuse_if_it_does_not_fit()
    assert made.alternatives[0].change in caught.value.hint


def test_alternatives_begin_with_what_costs_least_and_each_does_fit() -> None:
    fixed = {"micro_batch": 32, "batch_size": 32, "gradient_checkpointing": True, "packing": False}
    made = plan(QWEN3B, "RTX 3060", training={**fixed, "activation_offloading": False})
    assert not made.fits
    assert made.alternatives[0].change == "micro_batch 1"
    assert made.alternatives[0].changes == {"training.micro_batch": 1}


def test_inputs_of_layers_wait_in_ram_only_where_the_run_does_not_fit_otherwise() -> None:
    fixed = {"micro_batch": 32, "batch_size": 32, "gradient_checkpointing": True, "packing": False}
    roomy, short = (plan(QWEN3B, gpu, training=fixed) for gpu in ("RTX 4090", "RTX 3060"))
    assert roomy.spec.training.activation_offloading is False
    assert short.fits
    assert short.spec.training.activation_offloading is True
    assert "does not fit" in decided(short, "training.activation_offloading").reason
    assert dict(short.ram.stages)["training"] - dict(roomy.ram.stages)["training"] > 36 * 32 * 512 * 2048 * 2
    little_ram = replace(probe("RTX 3060"), assumed=False, ram_free=4 * GIB)
    assert not plan(QWEN3B, machine=little_ram, training=fixed).fits


def test_a_model_of_this_machine_is_not_downloaded() -> None:
    @dataclass
    class Here(Found):
        local: bool

    asked, machine = parse({"model": {"name": "smollm2"}, "data": {"train": "rows.jsonl"}}), replace(probe(), disk_free=1 << 42)
    here, far = (planner.resolve(asked, machine, found, some_rows()) for found in (Here(TINY, local=True), Found(TINY)))
    assert not [item for item in here.disk.items if "download" in item[0]]
    assert [item for item in far.disk.items if "download" in item[0]]


def test_when_no_one_change_suffices_several_are_offered_together() -> None:
    fixed = {"micro_batch": 32, "batch_size": 32, "gradient_checkpointing": False, "packing": False}
    made = plan(QWEN7B, "RTX 3060", model={"quantization": "none"}, training=fixed)
    together = made.alternatives[0]
    assert {"training.micro_batch", "training.gradient_checkpointing", "model.quantization"} <= set(together.changes)


def test_a_model_too_large_for_any_setting_names_smaller_ones() -> None:
    made = plan("mistralai/Mixtral-8x7B-Instruct-v0.1", "RTX 4090")
    assert not made.fits
    assert made.alternatives[0].change == "mistralai/Ministral-3-8B-Instruct-2512-BF16"
    assert any("experts" in warning for warning in made.warnings)


def test_a_mixture_that_fits_without_adapters_on_its_experts_is_offered_so() -> None:
    made = plan("Qwen/Qwen3-30B-A3B-Instruct-2507", "RTX 4090")
    assert not made.fits
    assert made.alternatives[0].changes == {"adapter.targets": "attention"}
    assert plan("Qwen/Qwen3-30B-A3B-Instruct-2507", "RTX 4090", adapter={"targets": "attention"}).fits


def test_attention_that_only_eager_computes_is_planned_as_eager() -> None:
    made = plan("unsloth/gpt-oss-20b-BF16", "RTX 4090")
    assert made.fits
    assert made.spec.model.attention == "eager"


def test_an_evaluation_never_decides_how_a_run_is_trained() -> None:
    long = replace(some_rows(), answer=700)
    assert plan(QWEN7B, "RTX 3060", rows=long).fits
    assert plan(QWEN7B, "RTX 3060", rows=long).spec.data.max_length == plan(QWEN7B, "RTX 3060").spec.data.max_length


def test_too_little_disk_is_a_reason_not_to_fit() -> None:
    machine = replace(probe("RTX 4090"), assumed=False, disk_free=GIB)
    made = planner.resolve(
        parse({"model": {"name": QWEN3B}, "data": {"train": "x.jsonl"}}),
        machine,
        Found(presets.config(QWEN3B) or {}),
        some_rows(),
    )
    assert not made.fits
    assert any("disk" in warning for warning in made.warnings)
    with pytest.raises(HardwareError, match="disk"):
        made.refuse_if_it_does_not_fit()


@pytest.mark.parametrize(
    ("sections", "gpu", "said"),
    [
        ({"model": {"name": "google/gemma-3-1b-it", "dtype": "fp16"}}, "RTX 3060", "overflow fp16"),
        ({"model": {"dtype": "bf16"}}, "RTX 2080", "has no bfloat16"),
        ({"model": {"quantization": "int8"}}, "RTX 3060", "int8 is slower"),
        ({"model": {"attention": "flash_attention_2"}}, "RTX 2080", "flash_attention_2"),
        ({"training": {"learning_rate": 0.1}}, "RTX 3060", "far above"),
        ({"training": {"learning_rate": 1e-7}}, "RTX 3060", "far below"),
        ({"training": {"batch_size": 4096}}, "RTX 3060", "larger than the dataset"),
        ({"training": {"max_steps": 3}}, "RTX 3060", "only 3 steps"),
        ({"data": {"train": "x", "max_length": 100}}, "RTX 3060", "longer than 100"),
    ],
)
def test_what_looks_wrong_is_warned_about(sections: dict[str, Any], gpu: str, said: str) -> None:
    model = sections.get("model", {}).get("name", QWEN3B)
    assert any(said in warning for warning in plan(model, gpu, **sections).warnings)


def test_licences_are_told_and_unknown_ones_too() -> None:
    assert any("commercial" in warning for warning in plan(QWEN3B).warnings)
    assert any("licence of someone/else" in warning for warning in plan("someone/else").warnings)
    assert not any("licence" in warning for warning in plan(QWEN7B).warnings)


def test_time_is_a_range_and_unknown_where_the_card_is_not_known() -> None:
    made = plan()
    assert made.seconds is not None
    assert 0 < made.seconds[0] < made.seconds[1]
    card = probe("RTX 4090")
    assert card.gpu is not None
    strange = replace(card, gpus=(replace(card.gpu, name="a new card", flops=0.0, bandwidth=0.0),))
    assert plan(machine=strange).seconds is None
    assert "not known" in plan(machine=strange).summary[-1]


def test_a_plan_is_plain_values_for_json() -> None:
    values = json.loads(json.dumps(plan(export=[{"kind": "gguf"}]).record().as_json()))
    assert {
        "spec",
        "machine",
        "decisions",
        "memory",
        "counts",
        "disk",
        "time",
        "summary",
        "warnings",
        "fits",
        "alternatives",
    } <= set(values)
    assert values["memory"]["total"] == sum(item["bytes"] for item in values["memory"]["items"])


def test_no_rows_at_all_still_gives_a_plan() -> None:
    assert plan(rows=planner.rows(None)).counts.rows == 0


class Encoded:
    """Two encoded rows: the second has two answers, the last of four tokens."""

    lengths = np.array([5, 9])
    trained_in_rows = np.array([3, 6])
    per_row = 1
    wanted = None
    notes = ("chat template: it writes a date",)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        masks = ([0, 0, 1, 1, 1], [0, 1, 1, 0, 0, 1, 1, 1, 1])
        return np.zeros(len(masks[row]), dtype=np.int32), np.array(masks[row], dtype=np.uint8)


def test_rows_are_counted_from_what_was_encoded() -> None:
    found = planner.rows(Encoded(), Encoded())
    assert (found.tokens, found.trained, found.answer, found.longest, found.over(5)) == (14, 9, 4, 9, 1)
    assert (found.trained_within(5, dropping=True), found.trained_within(9, dropping=True)) == (3, 9)
    assert "chat template: it writes a date" in plan(rows=found).warnings


def test_rows_are_estimated_from_characters_where_there_is_no_tokenizer(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "x" * 70}, {"role": "assistant", "content": "y" * 35}]}
    (tmp_path / "train.jsonl").write_text(json.dumps(row) + "\n" + json.dumps({"text": "z" * 35}) + "\n")
    found = planner.rows_by_characters(tmp_path / "train.jsonl", tmp_path / "held-out.jsonl")
    assert found.estimated
    assert list(found.lengths) == [21 + 11 + 10, 11]
    assert found.trained == 11 + 11
    assert any("estimated" in warning for warning in plan(rows=found).warnings)


@pytest.mark.torch
def test_a_lock_says_what_makes_the_run_repeatable_and_what_differs(tmp_path: Path, tiny_model: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "a", "answer": "b"}\n')
    spec = parse({"model": {"name": str(tiny_model)}, "data": {"train": str(file)}})

    @dataclass
    class Local:
        folder: Path

    before = planner.lock(spec, Local(tiny_model), probe())
    assert before.model.files["config.json"]
    assert before.packages["torch"]
    assert planner.differences(before, planner.lock(spec, Local(tiny_model), probe())) == []
    assert planner.day_of(tmp_path / "none.json") == date.today()
    planner.lock(spec, Local(tiny_model), probe(), day=date(2024, 3, 7)).write(tmp_path / "lock.json")
    assert planner.day_of(tmp_path / "lock.json") == date(2024, 3, 7)
    assert planner.changes_since(RunLock.read(before.write(tmp_path / "lock.json"))) == []
    file.write_text('{"question": "a", "answer": "c"}\n')
    older = before.model_copy(update={"python": "3.9.0", "packages": {**before.packages, "peft": "0.1"}})
    changes = planner.changes_since(older)
    assert any("other content" in line for line in changes)
    assert any("peft was 0.1" in line for line in changes)
    assert any("Python was 3.9.0" in line for line in changes)
    file.unlink()
    assert any("not there any more" in line for line in planner.changes_since(before))
    other = planner.lock(
        parse({"model": {"name": str(tiny_model)}, "data": {"train": str(file)}, "training": {"seed": 1}}), None, probe()
    )
    assert "the seed was 42 and is 1" in planner.differences(before, other)


def earlier(made: Plan, peak: float, pace: float, count: int = 3) -> list[RunMeasurement]:
    """Runs like `made` that took `peak` of the overheads predicted, and had `pace` of the tokens/s expected."""
    held = sum(made.memory.of(name) for name in ("fragmentation", "process"))
    explained = seen(made.memory.items) - held
    run = RunMeasurement(
        machine=made.machine,
        device=made.device,
        explained=explained,
        overhead=held,
        peak=round(explained + peak * held),
        expected=made.expected,
        pace=pace * made.expected,
        parameters=made.parameters,
        dtype=str(made.spec.model.dtype),
        packed=bool(made.spec.training.packing),
    )
    return [run] * count


def test_earlier_runs_on_the_machine_correct_overheads_and_pace_and_the_plan_says_so(cpu: Machine) -> None:
    first = plan("tiny", machine=cpu)
    again = plan("tiny", machine=cpu, past=earlier(first, 1.5, 0.4))
    assert again.memory.of("process") == round(1.5 * first.memory.of("process"))
    assert again.memory.of("base weights") == first.memory.of("base weights")
    assert any("corrected by 3 runs on this machine: +" in line for line in again.summary)
    assert first.rate is not None
    assert again.rate is not None
    assert again.rate.high / again.rate.low < first.rate.high / first.rate.low
    assert again.rate.high == pytest.approx(0.44 * first.rate.high)
    assert "as 3 like runs on this machine" in again.summary[-1]
    assert plan("tiny", machine=cpu, past=earlier(first, 1.5, 0.4, count=2)).memory == first.memory


def test_runs_on_this_machine_say_nothing_of_a_card_that_is_not_in_it() -> None:
    first = plan(gpu="RTX 4090")
    again = plan(gpu="RTX 4090", past=earlier(first, 2.0, 0.1))
    told = ("decisions", "memory", "counts", "time", "rate", "corrected", "fits")  # free RAM changes between two looks
    assert [getattr(again.record(), name) for name in told] == [getattr(first.record(), name) for name in told]


CARDS = ["RTX 4060", "RTX 3060", "RTX 4090", "A100", "H200"]


@pytest.mark.parametrize("gpu", CARDS)
@pytest.mark.parametrize("name", presets.names())
@pytest.mark.slow
def test_every_preset_fits_an_ordinary_card_or_is_answered_with_settings_that_do(name: str, gpu: str) -> None:
    rows = some_rows(300, 5.5, 4096, 40)
    made = plan(name, gpu, rows)
    assert made.fits or made.alternatives, f"{name} on {gpu}: nothing offered"
    for item in made.alternatives:
        changed = dict(item.changes)
        base = str(changed.pop("model.name", name))
        wanted = nested(changed, {"data": {"train": "rows.jsonl"}, "model": {"name": base}})
        again = planner.resolve(
            parse(wanted), replace(probe(gpu), disk_free=1 << 42), Found(presets.config(base) or TINY), rows
        )
        assert again.fits, f"{name} on {gpu}: {item.change} does not fit"


def test_ram_is_reckoned_by_stage_and_what_exceeds_it_is_warned_about(cpu: Machine) -> None:
    wanted = [{"kind": "merged"}, {"kind": "gguf", "quant": "q4_k_m"}]
    made = plan(QWEN8B, machine=replace(probe("RTX 4090"), assumed=False, ram_free=12 * GIB), export=wanted)
    stages = dict(made.ram.stages)
    assert stages["training"] < 6 * GIB
    assert stages["export merged"] == pytest.approx(16.38e9 + GIB, rel=0.01)
    assert made.ram.peak[0].startswith("export")
    assert made.record().as_json()["ram"]["peak"] == made.ram.peak[1]
    assert any("export merged needs" in said for said in made.warnings)
    disk = dict(made.disk.items)
    assert "while exporting (merged copy)" not in disk
    assert disk["while exporting (f16 GGUF)"] == pytest.approx(16.38e9, rel=0.01)
    assert dict(plan("tiny", machine=cpu).ram.stages)["training"] == plan("tiny", machine=cpu).memory.total


def test_fp16_on_a_cpu_is_refused_in_the_plan(cpu: Machine) -> None:
    with pytest.raises(SpecError) as caught:
        plan("starter", machine=cpu, model={"dtype": "fp16"})
    assert caught.value.where == "model.dtype"


def test_a_target_that_no_layer_is_called_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SpecError) as caught:
        plan(adapter={"targets": ["q_prj"]})
    assert caught.value.where == "adapter.targets"
    assert "`q_proj`" in caught.value.hint
    assert plan(adapter={"targets": ["q_proj", "lm_head"]}).fits


def test_a_length_that_leaves_no_row_is_refused() -> None:
    with pytest.raises(SpecError, match="all 2,000 rows are longer than 16 tokens"):
        plan(data={"train": "rows.jsonl", "max_length": 16})


def test_fp32_on_a_turing_card_is_planned_as_slow_as_it_is() -> None:
    gemma = "google/gemma-3-4b-it"
    rates = [plan(gemma, gpu="T4", model={"dtype": dtype}).rate for dtype in ("fp16", "fp32")]
    assert rates[0] is not None
    assert rates[1] is not None
    assert 4 < rates[0].high / rates[1].high < 9
    assert "eight times as slow" in decided(plan(gemma, gpu="T4"), "model.dtype").reason


def test_a_driver_that_is_too_old_is_said_before_the_run_starts() -> None:
    machine = probe("RTX 4090")
    old = replace(machine, assumed=False, gpus=(replace(machine.gpus[0], driver="550.54"),))
    assert any("driver 550.54 is too old" in warning for warning in plan(machine=old).warnings)


def test_a_plan_that_does_not_fit_has_an_exit_status_of_its_own() -> None:
    with pytest.raises(DoesNotFit) as caught:
        plan(QWEN8B, gpu="RTX 2060", rows=some_rows(longest=4000)).refuse_if_it_does_not_fit()
    assert caught.value.exit_code == 3


def test_the_optimizer_saves_memory_only_where_the_gpu_is_short_of_it() -> None:
    def chosen(gpu: str) -> tuple[str, str]:
        made = plan(QWEN7B, gpu)
        return made.spec.training.optimizer, next(d.reason for d in made.decisions if d.field == "training.optimizer")

    assert chosen("RTX 4090") == ("adamw", "one fused kernel a step, which never makes the host wait")
    assert chosen("RTX 3060 Ti")[0] == "adamw_8bit"
    assert "less" in chosen("RTX 3060 Ti")[1]


def test_a_row_that_would_stop_the_run_is_refused_in_the_plan():
    data = {"train": "rows.jsonl", "max_length": 64, "overlong": "error"}
    with pytest.raises(SpecError, match="2 rows of 4 are longer than 64 tokens"):
        plan(rows=Rows(np.array([10, 65, 70, 64]), 100, np.array([10])), data=data)
    assert plan(rows=Rows(np.array([10, 64]), 60, np.array([10])), data=data).spec.data.overlong == "error"


def test_conversations_whose_answers_alone_are_too_long_are_refused_before_they_are_shortened(tmp_path: Path) -> None:
    def rows_of(*answers: str) -> Rows:
        turns = [[{"role": "user", "content": "Why?"}, {"role": "assistant", "content": answer}] for answer in answers]
        file = tmp_path / f"{len(answers)}.jsonl"
        file.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in turns))
        return planned_rows(encode_file(file, tokenizer("chatml"), "assistant", tmp_path / f"{len(answers)}.tokens"))

    data = {"train": "rows.jsonl", "max_length": 64, "overlong": "truncate"}
    with pytest.raises(SpecError, match="the last answer of each of the 2 rows takes 64 tokens or more") as refused:
        plan(rows=rows_of("so " * 200, "no " * 100), data=data)
    assert refused.value.where == "data.max_length"
    assert plan(rows=rows_of("so " * 200, "no " * 100, "Yes."), data=data).fits


def test_a_verifier_that_is_code_is_refused_in_the_plan_unless_it_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = {"train": "rows.jsonl", "verifier": {"kind": "python", "function": "no_such_module:score"}}
    monkeypatch.delenv("STUDIO_OWN_CODE", raising=False)
    with pytest.raises(SpecError, match="code of your own") as problem:
        plan(data=data)
    assert "STUDIO_OWN_CODE=1" in problem.value.hint
    monkeypatch.setenv("STUDIO_OWN_CODE", "1")
    assert plan(data=data).spec.data.verifier is not None  # nothing of it is loaded to plan


def test_a_reward_model_has_no_exports_and_is_an_adapter() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"export": [{"kind": "merged"}]}, "export.0"),
        ({"adapter": {"kind": "full"}}, "adapter.kind"),
        ({"evaluation": {"while_training": 3}}, "evaluation.while_training"),
    ]
    for given, where in cases:
        with pytest.raises(SpecError) as problem:
            plan(training={"method": "reward"}, **given)
        assert problem.value.where == where


def test_the_reason_of_the_batch_counts_the_rows_that_are_trained() -> None:
    rows = Rows(np.array([200] * 60 + [900] * 40), 40_000, np.array([50] * 40))
    made = plan(rows=rows, data={"train": "rows.jsonl", "max_length": 512}, training={"epochs": 1})
    reason = next(decision.reason for decision in made.decisions if decision.field == "training.batch_size")
    assert made.counts.rows == 60
    assert reason == f"60 rows and 1 epochs make {made.counts.steps} steps"


def test_texts_are_split_into_pieces_that_fit_and_the_steps_count_the_pieces() -> None:
    texts = Rows(np.array([5000, 100]), 5098, np.array([50]), trained_in_rows=np.array([4999, 99]))
    made = plan(rows=texts, training={"method": "text", "epochs": 1, "batch_size": 1})
    assert made.spec.data.overlong == "split"
    assert made.spec.data.max_length <= 2048
    assert made.counts.dropped == 0
    assert made.counts.rows == made.counts.steps > 2
    assert made.counts.tokens >= 5100


def test_what_the_spec_leaves_open_of_tracking_is_taken_from_wandbs_variables_and_what_it_names_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = {"PROJECT": "mine", "ENTITY": "team", "RUN_GROUP": "nightly", "JOB_TYPE": "retrain", "TAGS": "a, b"}
    for name, value in variables.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    found = plan(tracking={"project": "named"}).spec.tracking
    assert (found.project, found.entity, found.group, found.job_type) == ("named", "team", "nightly", "retrain")
    assert found.tags == ["a", "b"]
    assert plan(tracking={"wandb": "off"}).spec.tracking.project is None
