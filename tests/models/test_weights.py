"""Weights are checked by their headers before anything is planned: whole files, the shapes config.json says, no NaN."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import ModelError
from studio.models import loading
from studio.models.settings import Model
from tests.tiny import make_model

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("weights") / "model")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def refused(folder: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        loading.find(Model(name=str(folder)))
    return caught.value


def test_a_whole_model_is_found(folder: Path) -> None:
    assert loading.find(Model(name=str(folder))).local


def test_a_file_that_is_cut_off_is_named_with_what_is_missing(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    error = refused(folder)
    assert "100 bytes are missing" in error.message
    assert error.where == str(file)


def test_garbage_in_place_of_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"<html>404</html>")
    assert "not a whole safetensors file" in refused(folder).message
    (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    assert "git lfs pull" in refused(folder).hint


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod."])
def test_weights_saved_from_within_a_wrapper_are_refused_before_anything_is_prepared(wrapper: str, folder: Path) -> None:
    def wrap(tensors: dict[str, Any]) -> None:
        tensors.update({f"{wrapper}{name}": tensors.pop(name) for name in list(tensors)})

    changed(folder, wrap)
    error = refused(folder)
    assert wrapper in error.message
    assert f"without `{wrapper}`" in error.hint


def test_a_missing_shard_is_named(folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "model-00002-of-00002.safetensors is missing" in refused(folder).message


def test_weights_of_another_model_than_config_json_describes_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_size": 128}))
    assert "config.json says" in refused(folder).message


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_linear_layer_of_another_shape_than_config_json_implies_is_named(folder: Path) -> None:
    import torch

    changed(folder, lambda tensors: tensors.update({"model.layers.1.mlp.up_proj.weight": torch.zeros(3, 5)}))
    assert "model.layers.1.mlp.up_proj.weight has the shape [3, 5], and [" in refused(folder).message


def test_a_layer_without_one_of_its_weights_is_named(folder: Path) -> None:
    changed(folder, lambda tensors: tensors.pop("model.layers.1.self_attn.o_proj.weight"))
    assert refused(folder).message == "layer 1 has no weight of o_proj"


def test_more_layers_in_config_json_than_in_the_weights_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 50}))
    assert refused(folder).message == "the weights hold 2 layers, and config.json says 50"


def test_a_file_in_the_place_of_another_shard_is_noticed(folder: Path) -> None:
    names = ["model.embed_tokens.weight", "model.layers.0.mlp.not_there.weight"]
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": dict.fromkeys(names, "model.safetensors")}))
    assert refused(folder).message.startswith("model.layers.0.mlp.not_there.weight is not in model.safetensors")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_nan_in_a_norm_is_found(folder: Path, dtype: str) -> None:
    import torch

    def spoil(tensors: dict[str, Any]) -> None:
        tensors.update({name: weight.to(getattr(torch, dtype)) for name, weight in tensors.items()})
        tensors["model.norm.weight"][3] = float("nan")

    changed(folder, spoil)
    assert refused(folder).message == "model.norm.weight holds NaN"


def test_a_gguf_file_is_no_base_model(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    assert "cannot be trained" in refused(file).message
