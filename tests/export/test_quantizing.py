"""K-quants and their importance matrix: measured as defined, taken by llama.cpp, used where it helps, and told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.core.errors import ExportError
from studio.data import encode
from studio.export.artifacts.manifest import Artifact
from studio.export.llamacpp import writer
from studio.export.make import Probe, Source, export
from studio.export.targets.gguf import importance, quantize
from studio.export.targets.gguf import k_quants as gguf_quant
from studio.export.targets.gguf.settings import GgufTarget
from studio.export.verification import limits
from studio.export.verification.reference import source_tokenizer
from studio.tracking.reporter import Silent
from tests.export.conftest import talk
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


ROWS = [[5, 9, 20, 33, 41, 8], [7, 7, 300, 12]]


@pytest.fixture(scope="module")
def matrix(loaded: Any) -> importance.Importance:
    return importance.importance(loaded, ROWS, "llama", Silent())


def weights(file: Path) -> dict[str, np.ndarray]:
    import gguf

    read = gguf.GGUFReader(file).tensors
    return {tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in read}


def test_a_column_matters_by_the_mean_square_of_its_inputs(loaded: Any, matrix: importance.Importance) -> None:
    import torch

    squares = []
    hook = loaded.model.layers[1].self_attn.k_proj.register_forward_pre_hook(lambda _, given: squares.append(given[0][0] ** 2))
    with torch.no_grad():
        for row in ROWS:
            loaded(torch.tensor([row]))
    hook.remove()
    expected = torch.cat(squares).mean(0).numpy()
    assert matrix.columns["blk.1.attn_k.weight"] == pytest.approx(expected, rel=1e-5)
    assert matrix.tokens == 10
    assert len(matrix.columns) == 2 * 7, "every layer's seven matrices; embeddings are looked up, not multiplied"


def test_llama_cpp_weighs_its_errors_by_the_matrix(f16: Path, matrix: importance.Importance, tmp_path: Path) -> None:
    assert quantize.takes_importance()
    for quant in ("q4_k_m", "q5_k_m"):
        quantize.quantize(f16, tmp_path / "without.gguf", quant)
        quantize.quantize(f16, tmp_path / "with.gguf", quant, importance=matrix)
        exact, without, using = (weights(file) for file in (f16, tmp_path / "without.gguf", tmp_path / "with.gguf"))
        for name in ("blk.0.attn_q.weight", "blk.1.ffn_up.weight"):
            errors = [((held[name] - exact[name]) ** 2 @ matrix.columns[name]).sum() for held in (without, using)]
            assert errors[1] < 0.9 * errors[0], (quant, name)


def test_a_struct_that_is_not_where_it_should_be_is_not_written_to() -> None:
    class Other:
        nthread = ftype = output_tensor_type = token_embedding_type = 0
        allow_requantize = quantize_output_tensor = only_copy = pure = keep_split = dry_run = False

    assert quantize._fields(Other()) is None


def test_matrices_that_fall_back_are_counted(f16: Path, tmp_path: Path) -> None:
    quantize.quantize(f16, tmp_path / "q6_k.gguf", "q6_k")
    held = writer.stored(tmp_path / "q6_k.gguf")
    assert held.fell_back == 2, "the two `down_proj`, of 320 inputs each"
    assert held.bits_per_weight > 6.56


def test_rows_are_spread_evenly_and_together_have_the_tokens_wanted() -> None:
    lengths = np.full(1000, 20)
    assert len(importance.sample(lengths, 400)) == 20
    assert importance.sample(lengths, 400)[::19] == [0, 999]
    assert importance.sample(lengths[:3], 400) == [0, 1, 2]


@pytest.fixture(scope="module")
def trained(source: Source, merged: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The run with training rows, and exports of its own beside the merged one."""
    import shutil

    import orjson

    folder = tmp_path_factory.mktemp("data")
    things = ["lamp", "kettle", "clock", "chair", "table", "vase", "desk", "shelf"]
    rows = [talk(f"What does the {thing} {place} cost?", f"It costs {place} euro.") for place in range(12) for thing in things]
    (folder / "train.jsonl").write_bytes(b"\n".join(orjson.dumps(row.as_dict()) for row in rows))
    encode.encode_file(folder / "train.jsonl", source_tokenizer(source), "assistant", folder / "train.tokens")
    shutil.copytree(source.exports, folder / "exports", ignore=shutil.ignore_patterns("gguf*"))
    return replace(source, exports=folder / "exports", train=folder / "train.tokens")


@pytest.fixture(scope="module")
def made(trained: Source, probe: Probe) -> dict[str, Artifact]:
    return {quant: export(GgufTarget(quant=quant), trained, probe, Silent()) for quant in ("q4_k_m", "q5_k_m", "q6_k")}


def test_the_matrix_is_used_exactly_where_it_was_measured_to_help(made: dict[str, Artifact]) -> None:
    for quant in gguf_quant.HELPS:
        told = made[quant].details["importance_matrix"]
        assert told["used"] is (told["kl_with"] < told["kl_without"])
        assert told["kl_with"] != told["kl_without"]
        assert 0 < told["tokens"] <= gguf_quant.TOKENS * 1.1
        assert told["statement"] in made[quant].details["statement"]
        assert f"{told['kl_with']:.3g} with" in (made[quant].at / "README.md").read_text()
    assert "importance_matrix" not in made["q6_k"].details


def test_more_bits_are_nearer_and_larger(made: dict[str, Artifact]) -> None:
    four, five, six = (made[quant] for quant in ("q4_k_m", "q5_k_m", "q6_k"))
    assert all(item.verification.passed for item in (four, five, six))
    far = [float(item.verification.value("kl_to_merged") or 0) for item in (four, five, six)]
    assert far[0] > far[1] > far[2]
    assert four.bytes < five.bytes < six.bytes
    assert four.details["fell_back"] == 0


def test_the_size_told_before_is_about_the_size_made(trained: Source, made: dict[str, Artifact]) -> None:
    for quant, artifact in made.items():
        weights = sum(file.bytes for file in artifact.files if file.path.endswith(".gguf"))
        assert GgufTarget(quant=quant).size(trained.parameters) == pytest.approx(weights, rel=0.05, abs=9 << 20)  # type: ignore[arg-type]


def test_without_training_rows_there_is_no_matrix_and_the_manifest_says_so(
    source: Source, probe: Probe, merged: Artifact
) -> None:
    artifact = export(GgufTarget(quant="q5_k_m"), source, probe, Silent())
    assert artifact.details["importance_matrix"]["used"] is False
    assert "training rows" in artifact.details["statement"]


def test_every_quant_has_thresholds_and_a_size() -> None:
    from typing import get_args

    from studio.export.llamacpp.formats import BITS, Quant

    assert set(get_args(Quant)) == set(BITS) == set(limits.GGUF)


def test_a_k_quant_without_llama_cpp_is_refused_with_the_command(
    source: Source, probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.export.targets.gguf.quantize.missing", lambda: "llama.cpp is not installed")
    elsewhere = replace(source, exports=tmp_path)
    with pytest.raises(ExportError, match="q6_k needs llama") as refused:
        export(GgufTarget(quant="q6_k"), elsewhere, probe, Silent())
    assert "pip install cyllama" in refused.value.hint


def test_a_training_row_is_compared_on_its_answer_tokens() -> None:
    case = gguf_quant._case(np.array([4, 5, 6, 7, 8], np.int32), np.array([0, 0, 1, 1, 0], np.uint8))
    assert (case.ids, case.positions) == ([4, 5, 6, 7], [1, 2])
