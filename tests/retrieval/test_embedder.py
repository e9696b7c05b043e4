"""How a model embeds is read from its own files, and an index keeps to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from studio.core.errors import ModelError
from studio.retrieval import embedder

STEPS = "sentence_transformers.models"


def make(folder: Path, modules: list[tuple[str, str]] | None = None, **files: Any) -> Path:
    """The files of an embedding model, with weights of no meaning. files: by name, `__` for `/`."""
    folder.mkdir(parents=True)
    save_file({"embeddings.weight": np.ones((4, 8), np.float32)}, folder / "model.safetensors")
    (folder / "tokenizer.json").write_text("{}")
    files = {"config": {"model_type": "bert", "hidden_size": 8, "max_position_embeddings": 512}, **files}
    if modules:
        files["modules"] = [
            {"idx": index, "path": path, "type": f"{STEPS}.{kind}"} for index, (kind, path) in enumerate(modules)
        ]
    for name, content in files.items():
        file = folder / f"{name.replace('__', '/')}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content))
    return folder


def test_pooling_prefixes_and_length_come_from_the_models_files(tmp_path: Path) -> None:
    folder = make(
        tmp_path / "m",
        [("Transformer", ""), ("Pooling", "1_Pooling")],
        P1=None,
        sentence_bert_config={"max_seq_length": 128},
        config_sentence_transformers={"prompts": {"query": "Q: ", "document": "D: "}, "similarity_fn_name": "dot"},
    )
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}')
    record, found = embedder.describe(str(folder))
    assert found == folder
    assert (record.pooling, record.normalize, record.most_tokens, record.dimensions) == ("cls", False, 128, 8)
    assert (record.query_prefix, record.passage_prefix) == ("Q: ", "D: ")


def test_a_plain_encoder_is_averaged_and_normalized(tmp_path: Path) -> None:
    record, _ = embedder.describe(str(make(tmp_path / "plain")))
    assert (record.pooling, record.normalize, record.query_prefix) == ("mean", True, "")


def test_models_of_the_e5_family_get_the_prefixes_they_were_trained_with(tmp_path: Path) -> None:
    record, _ = embedder.describe(str(make(tmp_path / "multilingual-e5-small")))
    assert (record.query_prefix, record.passage_prefix) == ("query: ", "passage: ")


def test_unknown_steps_and_ways_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not supported"):
        embedder.describe(str(make(tmp_path / "a", [("Transformer", ""), ("WeightedLayerPooling", "1")])))
    with pytest.raises(ModelError, match="refers to a path outside its folder"):
        embedder.describe(str(make(tmp_path / "b", [("Transformer", ""), ("Pooling", "../elsewhere")])))


def test_an_index_refuses_questions_of_another_revision(tmp_path: Path) -> None:
    before, folder = embedder.describe(str(make(tmp_path / "m")))
    embedder.require_same(before, embedder.describe(str(folder))[0])
    (folder / "config.json").write_text((folder / "config.json").read_text().replace("512", "256"))
    with pytest.raises(ModelError, match=f"built with revision {before.revision[:12]}"):
        embedder.require_same(before, embedder.describe(str(folder))[0])
