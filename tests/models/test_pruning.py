"""Layers that change least are left out, the rest is the same model, and it is written as one that loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import ModelError
from studio.models import pruning
from studio.models.pruning import Similarity
from tests.tiny import make_model

pytestmark = pytest.mark.numeric
ROWS = [list(range(5, 45)), list(range(60, 80))]


def load(folder: Path) -> Any:
    from studio.models.loading import load_base
    from studio.models.settings import Model

    return load_base(Model(name=str(folder), quantization="none", dtype="fp32"), "cpu")


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    return make_model(tmp_path / "deep", "llama", num_hidden_layers=6)


def test_the_first_two_and_the_last_stay_and_the_most_alike_go():
    found = Similarity((0.99, 0.98, 0.2, 0.97, 0.5, 0.96, 0.999), 100)
    assert found.least_needed(1) == (3,)
    assert found.least_needed(2) == (3, 5)
    assert found.least_needed(4) == (2, 3, 4, 5)
    with pytest.raises(ModelError, match="5 layers cannot be left out of 7"):
        found.least_needed(5)
    with pytest.raises(ModelError, match="too small"):
        Similarity((0.9, 0.9), 1).least_needed(1)


def test_a_layer_that_does_nothing_is_found_and_leaving_it_out_changes_nothing(deep: Path):
    import torch

    model = load(deep)
    for part in (model.model.layers[3].self_attn.o_proj, model.model.layers[3].mlp.down_proj):
        part.weight.data.zero_()
    ids = torch.tensor([ROWS[0]])
    before = model(ids).logits
    found = pruning.similarity(model, ROWS)
    assert found.tokens == 60
    assert found.by_layer[3] == pytest.approx(1.0, abs=1e-5)
    assert found.least_needed(1) == (3,)
    smaller = pruning.drop(model, (3,))
    assert torch.allclose(smaller(ids).logits, before, atol=1e-5)
    assert [layer.self_attn.layer_idx for layer in smaller.model.layers] == list(range(5))
    generated = smaller.generate(ids, max_new_tokens=4, do_sample=False)  # the cache has a place for each layer
    assert generated.shape[1] == ids.shape[1] + 4


@pytest.mark.parametrize("arch", ["llama", "qwen2", "gemma3_text"])
def test_what_is_written_loads_with_the_same_answers_and_is_planned_by_its_size(arch: str, tmp_path: Path):
    import torch
    from transformers import AutoTokenizer

    from studio.models import loading
    from studio.models.dims import model_dims
    from studio.models.settings import Model

    folder = make_model(tmp_path / "whole", arch, num_hidden_layers=6)
    model = load(folder)
    whole = sum(weights.numel() for weights in model.parameters())
    pruning.drop(model, (2, 4))
    left = sum(weights.numel() for weights in model.parameters())
    record = pruning.PrunedModel(
        parent="run", base="starter", layers=6, dropped=(2, 4), similarity=(0.5,) * 6, tokens=60, parameters=left,
        parent_parameters=whole,
    )  # fmt: skip
    out = tmp_path / "small"
    pruning.write(model, AutoTokenizer.from_pretrained(folder), record, "fp32", out)
    ids = torch.tensor([ROWS[0]])
    assert torch.allclose(load(out)(ids).logits, model(ids).logits, atol=1e-5)
    found = loading.find(Model(name=str(out)))
    assert pruning.record_of(found.folder) == record
    assert model_dims(found.config).parameters == left
    assert pruning.record_of(folder) is None
