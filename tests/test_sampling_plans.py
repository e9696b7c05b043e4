"""The plan of a training whose answers vLLM writes: what it counts, what it decides, and what it refuses beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from studio.core.errors import SpecError
from studio.export import toolchains
from studio.hardware.history import UNSEEN, RunMeasurement
from studio.hardware.memory import VLLM_ANSWERS
from studio.models import presets
from studio.models.dims import model_dims
from studio.planner.sampling import Expected
from studio.runs.plan import PlanRecord
from tests.test_planner import plan, probe, some_rows

QWEN05B = "Qwen/Qwen2.5-0.5B-Instruct"
BY_VLLM = {"method": {"kind": "grpo", "engine": "vllm", "max_new_tokens": 200}}
BY_ITSELF = {"method": {"kind": "grpo", "max_new_tokens": 200}}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchains, "missing", lambda name: None)


def planned(training: dict[str, Any], **more: Any) -> Any:
    data = {"train": "rows.jsonl", "verifier": {"kind": "exact"}, **more.pop("data", {})}
    rows = replace(some_rows(), expected=Expected(None, "", 0, 100))
    return plan(QWEN05B, None, rows, replace(probe("RTX 4090"), assumed=False), training=training, data=data, **more)


def test_vllm_is_counted_with_a_base_of_its_own_and_its_cache_and_the_base_stays_unquantized():
    made = planned(BY_VLLM)
    dims = model_dims(presets.config(QWEN05B) or {})
    assert made.spec.model.quantization == "none"
    least = 2 * dims.parameters + VLLM_ANSWERS * 200 * dims.layers * 2 * dims.key_width * 2
    assert made.memory.of("vLLM") > least
    assert made.memory.of("generation") == planned(BY_ITSELF).memory.of("vLLM") == 0
    reason = next(decision.reason for decision in made.decisions if decision.field == "model.quantization")
    assert reason.startswith("vLLM: it has no bitsandbytes")
    assert [item.name for item in PlanRecord.model_validate(made.record().model_dump()).memory.items].count("vLLM") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"quantization": "nf4"}}, "vLLM needs an unquantized base, and model.quantization is nf4"),
        ({"adapter": {"kind": "dora"}}, "vLLM cannot load this adapter: DoRA's magnitudes are no part of LoRA"),
        ({"adapter": {"kind": "full"}}, "vLLM cannot load this adapter: whole layers are trained"),
        ({"adapter": {"modules_to_save": ["norm"]}}, "vLLM cannot load this adapter: whole modules are trained beside it"),
        ({"adapter": {"kind": "olora", "rank": 300}}, "vLLM cannot load this adapter: it has no kernels for ranks above 512"),
    ],
)
def test_what_vllm_cannot_hold_is_refused_with_the_field_and_the_way_out(changes: dict[str, Any], said: str):
    with pytest.raises(SpecError, match=said) as refused:
        planned(BY_VLLM, **changes)
    assert refused.value.where == "training.method.engine"
    assert "training.method.engine to transformers" in str(refused.value.hint)


def test_vllm_that_is_not_installed_is_refused_with_the_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        toolchains, "missing", lambda name: f"the exporter `{name}` is not installed: studio exporters install {name}"
    )
    with pytest.raises(SpecError, match="the exporter `vllm` is not installed") as refused:
        planned(BY_VLLM)
    assert str(refused.value.hint).startswith("Run `studio exporters install vllm`, or set")


def test_only_runs_whose_answers_were_written_alike_say_how_long_it_takes():
    past = RunMeasurement(
        machine=planned(BY_ITSELF).machine, device="cuda", explained=0, overhead=0, peak=0, expected=0, pace=0,
        parameters=model_dims(presets.config(QWEN05B) or {}).parameters, dtype="bf16", packed=True, generated=1000.0,
    )  # fmt: skip
    known = planned(BY_ITSELF, past=[past])
    other = planned(BY_ITSELF, past=[replace(past, vllm=True)])
    assert other.seconds == planned(BY_ITSELF).seconds != known.seconds


def test_what_a_model_that_writes_its_answers_itself_needs_for_them_is_part_of_the_peak_that_training_shows():
    names = [item.name for item in planned(BY_ITSELF).memory.items]
    assert ("generation" in names, "evaluation" in names) == (True, False)
    assert "generation" not in UNSEEN
    assert "evaluation" in [item.name for item in plan(QWEN05B).memory.items]
