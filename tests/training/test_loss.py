"""The loss: the same as transformers' and TRL's, however rows are laid out and cut into micro-batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.training import choosing
from studio.training.layouts import pack
from studio.training.loss_model import LossModel
from studio.training.modes import evaluating
from tests.tiny import make_model
from tests.training.kit import items, make_job, make_pairs, make_rows, weights

pytestmark = pytest.mark.numeric

ARCHITECTURES = {
    "llama": {},
    "gemma2": {"sliding_window": 8, "final_logit_softcapping": 5.0, "attn_logit_softcapping": 5.0},
    "gemma3_text": {"sliding_window": 8},
    "granite": {"logits_scaling": 3.0},
    "gpt_oss": {"num_local_experts": 4, "sliding_window": 8},
    "qwen2": {},
}


def plain_loss(model: Any, ids: np.ndarray, mask: np.ndarray) -> Any:
    """The sum of -log p over a row's trained tokens by the model's own forward pass."""
    import torch

    logits = model(input_ids=torch.tensor(ids[None].astype(np.int64))).logits[0, :-1].float()
    losses = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:].astype(np.int64)), reduction="none")
    return losses[torch.tensor(mask[1:])].sum()


@pytest.mark.parametrize("arch", list(ARCHITECTURES))
def test_packed_rows_have_the_losses_and_gradients_they_have_alone(arch: str, tmp_path: Path, load: Callable[..., Any]):
    import torch

    base = load(make_model(tmp_path / arch, arch, **ARCHITECTURES[arch]))
    rows = make_rows([40, 7, 21, 12])
    loss_model = LossModel(base, make_job(tmp_path, train=rows), pad=0)
    assert choosing.choose(loss_model) == []
    assert loss_model.path.attention == "studio_rows"
    assert loss_model.path.trained_only
    assert loss_model.packed
    for parameter in loss_model.model.parameters():  # lora_B is zero at first, and lora_A would have no gradient
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.05)
    together = loss_model.loss(pack(items(rows)))
    together.backward()
    found = [p.grad.clone() for p in loss_model.model.parameters() if p.grad is not None]
    loss_model.model.zero_grad()
    base.set_attn_implementation(loss_model.own_attention)
    alone = [plain_loss(base, ids, mask) for ids, mask in items(rows)]
    torch.stack(alone).sum().backward()
    wanted = [p.grad for p in loss_model.model.parameters() if p.grad is not None]
    assert together.item() == pytest.approx(sum(loss.item() for loss in alone), rel=1e-5)
    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * other.abs().max().item())


@pytest.mark.parametrize("arch", ["gemma2", "gemma3_text", "gpt_oss", "qwen2"])
def test_a_prompt_that_is_computed_once_gives_each_answer_its_own_losses_and_gradients(
    arch: str, tmp_path: Path, load: Callable[..., Any]
):
    import torch

    pairs = make_pairs([(12, 9, 4), (20, 3, 14), (2, 6, 6)])
    base = load(make_model(tmp_path / arch, arch, **ARCHITECTURES[arch]))
    loss_model = LossModel(base, make_job(tmp_path, train=pairs, method="dpo"), pad=0)
    assert choosing.choose(loss_model) == []
    assert loss_model.shared
    torch.manual_seed(0)
    for parameter in loss_model.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.05)
    (micro,) = loss_model.batch(pairs, range(3)).micro_batches
    assert micro.input_ids.size < micro.tokens
    together = loss_model.score(pairs, micro).logps
    together.square().sum().backward()
    found = [p.grad.clone() for p in loss_model.model.parameters() if p.grad is not None]
    loss_model.model.zero_grad()
    base.set_attn_implementation(loss_model.own_attention)
    alone = -torch.stack([plain_loss(base, *items(pairs)[number]) for number in micro.numbers])
    alone.square().sum().backward()
    assert torch.allclose(together, alone, rtol=1e-5)
    for one, other in zip(found, (p.grad for p in loss_model.model.parameters() if p.grad is not None), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * other.abs().max().item())


def test_rows_that_would_see_each_other_are_not_packed(tmp_path: Path, load: Callable[..., Any]):
    base = load(make_model(tmp_path / "hybrid", "qwen3_next", num_experts=4, num_experts_per_tok=2, moe_intermediate_size=64))
    loss_model = LossModel(base, make_job(tmp_path), pad=0)
    assert choosing.choose(loss_model)
    assert not loss_model.packed


def test_the_head_over_trained_positions_is_exact_with_scale_cap_and_bias(monkeypatch: pytest.MonkeyPatch):
    import torch

    from studio.training import head

    monkeypatch.setitem(head.LOGITS_PER_CHUNK, "cpu", 1)
    torch.manual_seed(0)
    layer = torch.nn.Linear(8, 50).requires_grad_(False)
    targets = torch.randint(0, 50, (40,))
    weight = torch.rand(40)
    one = torch.randn(40, 8, requires_grad=True)
    other = one.detach().clone().requires_grad_()
    (head.token_losses(one, layer, targets, head.LogitTransform(scale=0.5, cap=3.0)) * weight).sum().backward()
    logits = torch.tanh(layer(other) * 0.5 / 3.0) * 3.0
    wanted = (torch.nn.functional.cross_entropy(logits, targets, reduction="none") * weight).sum()
    wanted.backward()
    assert torch.allclose(one.grad, other.grad, atol=1e-6)  # pyright: ignore[reportArgumentType]


def test_the_masks_are_honoured(tmp_path: Path, load: Callable[..., Any]):
    rows = make_rows([20, 30])
    loss_model = LossModel(load(), make_job(tmp_path, train=rows), pad=0)
    choosing.choose(loss_model)
    with evaluating(loss_model.model):
        found = loss_model.loss(pack(items(rows))).item()
        answers = sum(plain_loss(loss_model.base, ids, mask).item() for ids, mask in items(rows))
        everything = sum(plain_loss(loss_model.base, ids, np.ones(len(ids), dtype=bool)).item() for ids, _ in items(rows))
    assert found == pytest.approx(answers, rel=1e-5)
    assert found < 0.8 * everything


@pytest.mark.parametrize(
    "changes",
    [
        {"packing": True, "micro_batch": 4},
        {"packing": True, "micro_batch": 1, "max_length": 61},
        {"packing": False, "micro_batch": 1},
        {"packing": False, "micro_batch": 4},
        {"packing": True, "micro_batch": 2, "gradient_checkpointing": True, "recompute_every": 2},
    ],
)
def test_micro_batch_packing_and_checkpointing_do_not_change_the_result(
    run: Callable[..., Any], whole: Any, changes: dict[str, Any]
):
    wanted, told, job = whole
    found, other, same = run(**changes)
    assert list(other.series("loss").values()) == pytest.approx(list(told.series("loss").values()), abs=1e-4)
    assert other.series("eval_loss") == pytest.approx(told.series("eval_loss"), abs=1e-4)
    assert found.tokens == wanted.tokens
    for name, values in weights(job.adapter_out).items():
        assert abs(weights(same.adapter_out)[name] - values).max() < 2e-3
