"""Merging tensor by tensor gives, bit by bit, the folder that merging the whole model gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.core.files import sha256
from studio.export.merging import merge, merge_stream
from studio.export.merging.source import Onto, Source
from studio.models.settings import Model
from studio.tracking.reporter import Silent
from tests.export.conftest import make_source
from tests.tiny import make_model

pytestmark = pytest.mark.numeric


def files(folder: Path) -> dict[str, str]:
    return {file.name: sha256(file) for file in folder.iterdir()}


def both(source: Source, onto: Onto, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The same merge tensor by tensor and as a whole."""
    import torch

    assert merge_stream.stream(source, onto, getattr(torch, merge.DTYPES[dtype])) is not None
    for name in ("streamed", "whole"):
        (tmp_path / name).mkdir(parents=True)
    merge.write_merged(source, onto, dtype, tmp_path / "streamed", Silent())
    monkeypatch.setattr(merge_stream, "stream", lambda *_: None)
    merge.write_merged(source, onto, dtype, tmp_path / "whole", Silent())
    return tmp_path / "streamed", tmp_path / "whole"


@pytest.mark.parametrize(("onto", "dtype"), [("dequantized", "bf16"), ("original", "bf16"), ("original", "fp32")])
def test_the_starter_merged_tensor_by_tensor_is_the_same_files(
    source: Source, onto: Any, dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    streamed, whole = both(source, onto, dtype, tmp_path, monkeypatch)
    assert files(streamed) == files(whole)


@pytest.mark.parametrize("arch", ["llama", "qwen2", "qwen3"])
def test_several_files_untied_heads_and_other_families_are_the_same_files(
    arch: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import torch
    from transformers import AutoModelForCausalLM

    folder = make_model(tmp_path / "base", arch, tie_word_embeddings=False)
    AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="150KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    monkeypatch.setattr(merge_stream, "SHARD", "100KB")
    held = Model(name=str(folder), quantization="nf4", dtype="bf16", double_quantization=False)
    made = make_source(held, tmp_path / "run", use_rslora=True)
    streamed, whole = both(made, "dequantized", "bf16", tmp_path / arch, monkeypatch)
    assert len(list(streamed.glob("*.safetensors"))) > 1

    def weights(place: Path) -> dict[str, Any]:
        from safetensors.torch import load_file

        return {name: tensor for file in place.glob("*.safetensors") for name, tensor in load_file(file).items()}

    one, other = weights(streamed), weights(whole)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert AutoModelForCausalLM.from_pretrained(streamed, output_loading_info=True)[1]["missing_keys"] == set()  # pyright: ignore[reportIndexIssue]


@pytest.mark.parametrize(
    "settings", [{"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"rank_pattern": {"q_proj": 4}}, {"bias": "all"}]
)
def test_what_is_not_a_plain_change_of_linear_weights_is_merged_as_a_whole(tmp_path: Path, settings: dict[str, Any]):
    import torch

    folder = make_model(tmp_path / "base", tie_word_embeddings=False)
    made = make_source(Model(name=str(folder), quantization="none", dtype="fp32"), tmp_path / "run", **settings)
    assert merge_stream.stream(made, "original", torch.float32) is None


def test_a_buffer_of_whole_numbers_stays_one(tmp_path: Path):
    import torch
    from safetensors.torch import save_file

    file, numbers = tmp_path / "model.safetensors", torch.arange(1000)  # 16 bit would round those above 256
    save_file({"places": numbers}, file)
    made = merge_stream.Stream(
        None, {"places": file}, frozenset(), frozenset(), tmp_path, 1.0, False, torch.bfloat16, "cpu"
    )  # fmt: skip
    assert torch.equal(merge_stream._merged(made, "places", {}, torch.bfloat16), numbers)


def test_an_adapter_that_is_not_a_number_is_refused(source: Source, tmp_path: Path):
    from dataclasses import replace

    from safetensors.torch import load_file, save_file

    from studio.core.errors import ExportError

    broken = tmp_path / "adapter"
    broken.mkdir()
    for file in source.adapter.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    tensors = load_file(broken / "adapter_model.safetensors")
    next(iter(tensors.values())).fill_(float("nan"))
    save_file(tensors, broken / "adapter_model.safetensors")
    (tmp_path / "out").mkdir()
    with pytest.raises(ExportError, match="not a number"):
        merge.write_merged(replace(source, adapter=broken), "dequantized", "bf16", tmp_path / "out", Silent())
