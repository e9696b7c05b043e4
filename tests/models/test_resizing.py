"""A model gets an embedding for each token of its tokenizer; what it said before it still says, and it can be trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.app.resizing import resize
from studio.core.errors import DoesNotFit, ModelError, SpecError
from studio.models import loading, pruning, resizing
from studio.models.settings import Model
from tests.tiny import add_tokens, make_model

pytestmark = pytest.mark.numeric


def load(folder: Path) -> Any:
    return loading.load_base(Model(name=str(folder), quantization="none", dtype="fp32"), "cpu")


@pytest.mark.parametrize("tied", [True, False])
def test_old_tokens_keep_their_logits_and_new_ones_begin_at_the_mean(tied: bool, tmp_path: Path) -> None:
    import torch

    source = make_model(tmp_path / "model", "llama", tie_word_embeddings=tied)
    size = int(load(source).get_input_embeddings().weight.shape[0])
    add_tokens(source, max(2, size - len(loading.tokenizer(loading.find(Model(name=str(source))))) + 2))
    with pytest.raises(ModelError, match="studio resize"):
        loading.tokenizer(loading.find(Model(name=str(source))))
    (source / "LICENSE").write_text("Free.")
    made = resize(str(source), tmp_path / "home", out=tmp_path / "more")
    before, after = load(source), load(made.folder)
    ids = torch.tensor([[5, 9, 17, 30]])
    assert torch.equal(before(ids).logits, after(ids).logits[..., :size])
    for matrix in (after.get_input_embeddings().weight, after.get_output_embeddings().weight):
        assert matrix.shape[0] == made.record.embeddings == -(-made.record.tokens // 8) * 8
        assert torch.allclose(matrix[size:], matrix[:size].mean(dim=0).expand_as(matrix[size:]), atol=1e-7)
    assert made.record.tied is tied
    assert ("keep that value" in made.summary) is tied
    assert (made.folder / "LICENSE").read_text() == "Free."
    assert loading.tokenizer(loading.find(Model(name=str(made.folder))))("<part_1>").input_ids[-1] >= size
    assert pruning.base_of(str(made.folder)) == str(source), (
        "questions about the base are those about the model it was made from"
    )


def test_what_needs_no_resizing_or_cannot_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_model(tmp_path / "model", "llama")
    with pytest.raises(ModelError, match="already has enough embeddings"):
        resize(str(source), tmp_path / "home", out=tmp_path / "more")
    (tmp_path / "there").mkdir()
    with pytest.raises(SpecError, match="already exists"):
        resize(str(source), tmp_path / "home", out=tmp_path / "there")
    add_tokens(source, 5_000)
    monkeypatch.setattr("studio.hardware.machine.memory", lambda: (1 << 20, 1_000))
    with pytest.raises(DoesNotFit, match="of RAM while it is resized"):
        resize(str(source), tmp_path / "home", out=tmp_path / "more")
    assert not (tmp_path / "more").exists()
    assert resizing.record_of(source) is None
