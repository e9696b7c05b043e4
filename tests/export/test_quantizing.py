"""K-quants: made by llama.cpp, nearer with more bits, their size and their fallbacks known before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import ExportError
from studio.export.artifacts.manifest import Artifact
from studio.export.llamacpp import writer
from studio.export.make import Probe, Source, export
from studio.export.targets.gguf import quantize
from studio.export.targets.gguf.limits import LIMITS
from studio.export.targets.gguf.settings import GgufTarget
from studio.tracking.reporter import Silent
from tests.tiny import make_model

pytestmark = pytest.mark.torch

pytest.importorskip("cyllama")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose rows K-quants can be cut into, but for the 320 inputs of `down_proj`."""
    folder = tmp_path_factory.mktemp("quant")
    return make_model(folder, "llama", hidden_size=256, intermediate_size=320, head_dim=64, num_hidden_layers=2)


@pytest.fixture(scope="module")
def loaded(model: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    found = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    with torch.no_grad():  # some inputs matter far more than others, as in trained models
        for layer in found.model.layers:
            layer.input_layernorm.weight[::8] = 20
            layer.post_attention_layernorm.weight[::8] = 20
    found.save_pretrained(model)
    return found


@pytest.fixture(scope="module")
def f16(model: Path, loaded: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("files") / "f16.gguf"
    writer.write(model, file, "f16", name="tiny", ending=writer.Ending(None, None, 2, (2,), False), template=None)
    return file


def test_matrices_that_fall_back_are_counted(f16: Path, tmp_path: Path) -> None:
    quantize.quantize(f16, tmp_path / "q6_k.gguf", "q6_k")
    held = writer.stored(tmp_path / "q6_k.gguf")
    assert held.fell_back == 2, "the two `down_proj`, of 320 inputs each"
    assert held.bits_per_weight > 6.56


@pytest.fixture(scope="module")
def made(source: Source, merged: Artifact, probe: Probe) -> dict[str, Artifact]:
    return {quant: export(GgufTarget(quant=quant), source, probe, Silent()) for quant in ("q4_k_m", "q5_k_m", "q6_k")}


def test_more_bits_are_nearer_and_larger(made: dict[str, Artifact]) -> None:
    four, five, six = (made[quant] for quant in ("q4_k_m", "q5_k_m", "q6_k"))
    assert all(item.verification.passed for item in (four, five, six))
    far = [float(item.verification.value("kl_to_merged") or 0) for item in (four, five, six)]
    assert far[0] > far[1] > far[2]
    assert four.bytes < five.bytes < six.bytes
    assert four.details["fell_back"] == 0


def test_the_size_told_before_is_about_the_size_made(source: Source, made: dict[str, Artifact]) -> None:
    for quant, artifact in made.items():
        weights = sum(file.bytes for file in artifact.files if file.path.endswith(".gguf"))
        assert GgufTarget(quant=quant).size(source.dims) == pytest.approx(weights, rel=0.05, abs=5 << 20)  # type: ignore[arg-type]


def test_every_quant_has_thresholds_and_a_size() -> None:
    from typing import get_args

    from studio.export.llamacpp.formats import BITS, Quant

    assert set(get_args(Quant)) == set(BITS) == set(LIMITS)


def test_a_k_quant_without_llama_cpp_is_refused_with_the_command(
    source: Source, probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.export.targets.gguf.quantize.missing", lambda: "llama.cpp is not installed")
    elsewhere = replace(source, exports=tmp_path)
    with pytest.raises(ExportError, match="q6_k needs llama") as refused:
        export(GgufTarget(quant="q6_k"), elsewhere, probe, Silent())
    assert "pip install cyllama" in refused.value.hint
