"""4 bit for vLLM: quantised on the run's own rows in its environment, and answering as the adapter did."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.core.errors import ExportError
from studio.core.files import read_json
from studio.export import toolchains as environments
from studio.export.artifacts.manifest import Artifact
from studio.export.make import Probe, Source, export
from studio.export.targets.merged_4bit import verify
from studio.export.targets.merged_4bit import write as compress
from studio.export.targets.merged_4bit.quantize import group_size
from studio.export.targets.merged_4bit.settings import Merged4BitTarget
from studio.export.toolchains.remote import Process
from studio.tracking.reporter import Silent
from tests.export.made import LARGE
from tests.tiny import make_model

pytestmark = pytest.mark.torch

installed = pytest.mark.skipif(not environments.ready("compress"), reason=str(environments.missing("compress")))


@pytest.fixture(scope="module")
def made(trained: Source, probe: Probe, merged: Artifact) -> Iterator[Artifact]:
    """The run's 4-bit export, verified in transformers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "VLLM", "compress-not-vllm")
        patch.setattr(environments, "ready", lambda name: False)
        yield export(Merged4BitTarget(), trained, probe, Silent())


@installed
def test_four_bits_answer_as_base_and_adapter_did(made: Artifact, merged: Artifact) -> None:
    assert made.verification.passed
    assert made.verification.value("prompt_ids_identical") == 1.0
    assert made.verification.value("weights_complete") is True
    assert 0 < float(made.verification.value("kl_mean") or 0) < 0.1
    assert "compressed-tensors" in made.verification.runtime
    assert made.bytes < 0.45 * merged.bytes


@installed
def test_it_is_calibrated_on_the_rows_trained_on_and_says_so(made: Artifact) -> None:
    assert made.details["calibration"].startswith("120 training rows, ")
    assert (made.details["method"], made.details["group"], made.details["layers"]) == ("gptq", 128, 28)
    assert "quantized to 4 bit by GPTQ, a scale every 128 weights" in made.details["statement"]
    assert made.details["statement"] in (made.path / "README.md").read_text()


@installed
def test_everything_but_the_weights_is_that_of_the_merged_model(made: Artifact, merged: Artifact) -> None:
    config = read_json(made.path / "config.json")
    assert config.pop("quantization_config")["config_groups"]["group_0"]["weights"]["num_bits"] == 4
    assert config == read_json(merged.path / "config.json"), "the fields for older runtimes among them"
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (made.path / name).read_bytes() == (merged.path / name).read_bytes()
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o644 for file in made.path.iterdir())
    names = {file.name for file in made.path.iterdir()}
    assert names == {file.name for file in merged.path.iterdir()}


@installed
def test_it_names_no_place_on_this_machine(made: Artifact, source: Source) -> None:
    for file in made.path.iterdir():
        if file.suffix != ".safetensors":
            assert str(source.exports.parent) not in file.read_text(), file.name


@pytest.fixture(scope="module")
def workshop() -> Iterator[Process]:
    """One process in the environment for several models: its imports take longer than the work."""
    with Process("compress", Silent()) as process:
        yield process


@installed
@pytest.mark.parametrize(
    ("arch", "layers", "more"),
    [
        ("llama", 14, {}),
        ("mistral", 14, {}),
        ("qwen2", 14, {}),
        ("qwen3", 14, {}),
        ("gemma3_text", 14, {"query_pre_attn_scalar": 32}),
        ("phi3", 8, {}),
        ("granite", 14, {}),
    ],
)
def test_each_architecture_is_quantised_and_loads(
    workshop: Process, tmp_path: Path, arch: str, layers: int, more: dict[str, Any]
) -> None:
    sizes = {"hidden_size": 128, "intermediate_size": 256, "head_dim": 32}
    model = make_model(tmp_path / "model", arch, **sizes, **more)
    np.savez(tmp_path / "rows.npz", ids=np.arange(2048) % 500, offsets=np.arange(0, 2049, 128))
    request = {"model": str(model), "out": str(tmp_path / "out"), "rows": str(tmp_path / "rows.npz")}
    done = workshop.ask({"function": "studio.export.targets.merged_4bit.quantize:quantize", "request": request})
    assert done == {"group": 128, "method": "gptq", "layers": layers}
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(model / name, tmp_path / "out" / name)
    asked = list(range(5, 45))
    found = [logits(workshop, folder, asked) for folder in (model, tmp_path / "out")]
    expected, got = (np.exp(rows - rows.max(-1, keepdims=True)) for rows in found)
    likely, here = (rows / rows.sum(-1, keepdims=True) for rows in (expected, got))
    assert 0 < float((likely * np.log(likely / here)).sum(-1).mean()) < 0.02, "packed as it is unpacked"


def logits(workshop: Process, folder: Path, ids: list[int]) -> np.ndarray:
    settings = {"folder": str(folder), "dtype": "float32"}
    workshop.ask({"open": "studio.export.targets.merged_4bit.runtime:opened", "settings": settings})
    assert workshop.ask({"method": "wrong", "arguments": []}) == ""
    return workshop.ask({"method": "logits", "arguments": [ids, list(range(len(ids)))]})


@installed
def test_without_rows_weights_are_rounded_in_groups_that_divide_them(workshop: Process, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model", "qwen2")
    request = {"model": str(model), "out": str(tmp_path / "out"), "rows": None}
    done = workshop.ask({"function": "studio.export.targets.merged_4bit.quantize:quantize", "request": request})
    assert done == {"group": 64, "method": "nearest", "layers": 14}
    held = read_json(tmp_path / "out" / "config.json")["quantization_config"]
    assert (held["quant_method"], held["format"], held["ignore"]) == ("compressed-tensors", "pack-quantized", ["lm_head"])


def test_the_largest_group_that_divides_every_layer_is_taken() -> None:
    assert group_size({"q": 4096, "down": 11008}) == 128
    assert group_size({"q": 576, "down": 1536}) == 64
    with pytest.raises(ExportError, match="down is 200 wide"):
        group_size({"q": 128, "down": 200})


def test_a_run_without_its_rows_has_no_calibration(source: Source, tmp_path: Path) -> None:
    assert compress.calibration(source, tmp_path / "rows.npz") == (0, 0)
    assert compress.calibration(replace(source, train=tmp_path / "gone"), tmp_path / "rows.npz") == (0, 0)


def test_without_its_environment_nothing_is_begun(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.export.toolchains.known.root", lambda: tmp_path)
    lacking = Merged4BitTarget().missing()
    assert lacking == "the exporter `compress` is not installed: studio exporters install compress"
    with pytest.raises(ExportError) as refused:
        Merged4BitTarget().write(source, tmp_path, Silent())
    assert "studio exporters install compress" in refused.value.hint


def test_mixtures_of_experts_are_refused_from_the_config_alone() -> None:
    with pytest.raises(ExportError, match="mixture-of-experts"):
        Merged4BitTarget().refuse({"model_type": "mixtral", "num_local_experts": 8})


def test_its_size_is_about_what_was_said(source: Source) -> None:
    target = Merged4BitTarget()
    packed = (LARGE.parameters - LARGE.embedding) * (4 + 16 / 128) / 8
    assert target.size(LARGE) == pytest.approx(packed + 2 * LARGE.embedding, rel=0.02)
    assert target.size(source.dims) < 2 * source.parameters + (12 << 20)
    assert target.folder(source) == "merged-4bit"
