"""What is said of an export before the work, held to what was measured: its size and time, of every target."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import TypeAdapter

from studio.app import exports
from studio.app.fragments import exports as fragments
from studio.export import pace
from studio.export.resources import KEPT
from studio.export.targets import AnyTarget
from studio.export.work import MERGE, REFERENCE, Work
from studio.hardware import machine, processor
from studio.models.dims import model_dims
from studio.models.settings import Model
from tests.export.test_card import report
from tests.export.test_losses import SMOL

RESULTS = json.loads((Path(__file__).parents[2] / "bench" / "results" / "export-table.json").read_text("utf-8"))
BASES = {
    "smollm2": model_dims({**SMOL, "max_position_embeddings": 8192}),
    "starter": model_dims(json.loads((Path(exports.__file__).parents[1] / "models/starter/weights/config.json").read_text())),
}
MADE = [(base, name, row["took"]) for base in BASES for name, row in RESULTS[base]["targets"].items() if "bytes" in row["took"]]


def wanted(name: str) -> Any:
    kind, _, quant = name.partition("-")
    return TypeAdapter[Any](AnyTarget).validate_python({"kind": kind, **({"quant": quant} if quant else {})})


every_export = pytest.mark.parametrize(("base", "name", "took"), MADE, ids=[f"{base} {name}" for base, name, _ in MADE])


def alone(took: dict[str, Any]) -> float:
    """CPU seconds without the other programs that used the same cores: each adds 8 % (the adapter of SmolLM2 took 25.9 alone,
    31.6 at a load of 3.7 and 35.1 at 5.4)."""
    return took["cpu_seconds"] / (1 + 0.08 * max(0.0, took["load"] - 1.4))


@every_export
def test_the_size_that_is_said_beforehand_is_that_of_the_files(base: str, name: str, took: dict[str, Any]) -> None:
    dims = BASES[base]
    said = wanted(name).size(dims, dims.lora_parameters(RESULTS[base]["rank"]))
    assert said == pytest.approx(took["bytes"], rel=0.1)


@every_export
def test_the_time_that_is_said_is_what_was_measured_where_the_figures_are_from(
    base: str, name: str, took: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "slowness", lambda: 1.0)
    assert wanted(name).seconds(BASES[base], took["tokens"]) == pytest.approx(alone(took), rel=0.1)


@every_export
def test_the_memory_that_is_said_is_what_was_held_at_the_peak(
    base: str, name: str, took: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = replace(machine.probe(), gpus=(), cpu_flags=frozenset(processor.BF16_FLAGS))
    monkeypatch.setattr(machine, "probe", lambda: here)
    (tmp_path / KEPT / "0").mkdir(parents=True)
    (tmp_path / KEPT / "0" / "reference.json").write_text("{}")
    dims = BASES[base]
    source: Any = SimpleNamespace(
        model=Model(dtype="bf16", quantization="none"), dims=dims, parameters=dims.parameters, exports=tmp_path
    )
    said = wanted(name).memory(source)
    assert 0.9 * took["peak_bytes"] < said < BRIEF.get(name, 1.15) * took["peak_bytes"]


BRIEF = {"merged": 2.0, "tensorrt_llm": 2.5}
"""Where the peak is a tenth of a second, in which a batch's logits are computed, watching four times a second may miss it."""


def test_a_longer_evidence_and_a_slower_machine_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    dims = BASES["smollm2"]
    monkeypatch.setattr(pace, "slowness", lambda: 1.0)
    here = wanted("gguf-q8_0").seconds(dims, 1000)
    assert wanted("gguf-q8_0").seconds(dims, 3000) > here
    assert wanted("executorch-8da8w").seconds(dims, 1000) > wanted("adapter").seconds(dims, 1000), "it is traced by layers"
    monkeypatch.setattr(pace, "slowness", lambda: 2.0)
    assert wanted("gguf-q8_0").seconds(dims, 1000) == pytest.approx(2 * here)


def test_seconds_grow_with_layers_weights_and_tokens() -> None:
    dims = BASES["smollm2"]
    billions = dims.parameters / 1e9
    assert Work(5.0).seconds(dims, 0) == 5
    assert Work(5.0, layer=2.0).seconds(dims, 0) == 5 + 2 * 30
    inputs = sum(inputs for inputs, _ in dims.linears.values())
    assert Work(5.0, columns=2.0).seconds(dims, 0) == pytest.approx(5 + 2 * 30 * inputs / 1000)
    assert Work(5.0, weights=100.0).seconds(dims, 0) == pytest.approx(5 + 100 * billions)
    assert Work(5.0, token=100.0).seconds(dims, 2000) == pytest.approx(5 + 200 * billions)


def test_what_an_earlier_export_has_left_is_not_made_again(tmp_path: Path) -> None:
    gguf, merged, adapter = (wanted(name) for name in ("gguf-q8_0", "merged", "adapter"))
    assert [target.before(tmp_path) for target in (gguf, merged, adapter)] == [(REFERENCE, MERGE), (REFERENCE,), (REFERENCE,)]
    (tmp_path / KEPT / "0").mkdir(parents=True)
    (tmp_path / KEPT / "0" / "reference.json").write_text("{}")
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "artifact.json").write_text("{}")
    assert [target.before(tmp_path) for target in (gguf, merged, adapter)] == [(), (), ()]
    dims = BASES["smollm2"]
    assert gguf.seconds(dims, 400, (REFERENCE, MERGE)) > gguf.seconds(dims, 400)


def test_the_tokens_an_export_answers_are_counted_from_the_evidence() -> None:
    found = report()
    assert [answer.tuned.tokens for part in found.sets for answer in part.answers] == [3, 3]
    assert pace.answered_tokens(found) == 9, "held out: as evidence and token by token; general questions: once"
    assert pace.answered_tokens(None) == pace.GENERAL_TOKENS


def test_this_processor_is_tried_in_a_moment_and_the_answer_is_kept() -> None:
    assert 0.05 < pace.slowness() < 50
    assert pace.slowness() == pace.slowness()


def test_the_page_says_how_long_an_export_takes() -> None:
    estimate = exports.described(wanted("gguf-q8_0"), BASES["smollm2"], tokens=1000)
    assert "of CPU time" in fragments.target("gguf", "A file.", estimate)
