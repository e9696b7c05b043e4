"""Every kind of adapter begins as the base, trains, resumes to the same weights, and is a file that plain peft loads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import TrainingError
from studio.training.kinds import KINDS, KindName
from tests.training.kit import Memory, weights

pytestmark = pytest.mark.numeric


def settings(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "adapter_config.json").read_text("utf-8"))


@pytest.mark.parametrize("kind", KINDS)
def test_each_begins_as_the_base_learns_and_loads_in_plain_peft(
    run: Callable[..., Any], load: Callable[..., Any], whole: Any, kind: KindName
):
    import torch
    from peft import PeftModel

    rate = 1e-3 if kind == "full" else 5e-3
    adapter = {"kind": kind, **({"rank": 4, "alpha": 8} if kind != "full" else {"rank": 16})}
    _, told, job = run(adapter=adapter, learning_rate=rate)
    assert told.series("eval_loss")[0] == pytest.approx(whole[0].base_loss, rel=1e-5)
    losses = list(told.series("loss").values())
    assert sum(losses[-4:]) < sum(losses[:4])  # each is seen twice
    assert settings(job.adapter_out)["init_lora_weights"] is True
    if kind != "full":
        assert settings(job.adapter_out)["r"] == 4 * KINDS[kind].factor
    base = load()
    ids = torch.arange(5, 45)[None]
    before = base(ids).logits
    model = PeftModel.from_pretrained(base, job.adapter_out)
    after = model(ids).logits
    assert (after - before).abs().max() > 1e-3
    with model.disable_adapter():
        assert torch.equal(model(ids).logits, before)  # the base is the base, also for PiSSA and OLoRA
    merged = model.merge_and_unload(safe_merge=True)
    assert torch.allclose(merged(ids).logits, after, atol=1e-4)


@pytest.mark.parametrize("kind", ["pissa", "eva", "full"])
def test_a_run_that_was_cut_ends_with_the_same_weights(run: Callable[..., Any], kind: str):
    from studio.core.errors import Stopped

    adapter = {"kind": kind, "lora_plus": 1.0 if kind == "full" else 4.0, "rank": 16 if kind == "full" else 4}
    changes = {"adapter": adapter, "learning_rate": 1e-3, "neftune": 5.0, "save_every": 3}
    _, _, straight = run("straight", **changes)
    with pytest.raises(Stopped):
        run("cut", Memory(stop_after=5), **changes)
    _, _, resumed = run("cut", **changes)
    one, other = weights(straight.adapter_out), weights(resumed.adapter_out)
    assert one.keys() == other.keys()
    assert all((one[name] == other[name]).all() for name in one)


@pytest.mark.parametrize("kind", ["pissa", "olora"])
def test_what_the_adapter_began_with_is_kept_and_taken_off_again(run: Callable[..., Any], load: Callable[..., Any], kind: str):
    import torch

    _, _, job = run(adapter={"kind": kind, "rank": 4})
    tensors, base = weights(job.adapter_out), load()
    name = "model.layers.0.self_attn.q_proj"
    down, up = (tensors[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
    weight = base.get_submodule(name).weight
    began = -2.0 * up[:, 4:] @ down[4:]  # alpha / rank is 2
    left, right = torch.linalg.qr(weight)
    best = left[:, :4] @ right[:4]
    if kind == "pissa":
        left, values, right = torch.linalg.svd(weight)
        best = left[:, :4] * values[:4] @ right[:4]
    assert torch.allclose(began, best, atol=1e-4 * float(best.abs().max()))
    assert not torch.equal(down[:4], down[4:])


def test_pissa_in_this_form_learns_what_peft_s_own_does(run: Callable[..., Any], load: Callable[..., Any], tokenizer: Any):
    """The base left alone and the difference carried is the same model, step by step, as a base without its main part."""
    import torch
    from peft import LoraConfig, get_peft_model

    from studio.training.initial import principal

    torch.manual_seed(0)
    base = load()
    config = {"lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    theirs = get_peft_model(load(), LoraConfig(r=4, init_lora_weights="pissa", **config))
    ours = get_peft_model(base, LoraConfig(r=8, **{**config, "lora_alpha": 16}))
    ours.requires_grad_(False)
    for name, weight in ours.named_parameters():
        weight.requires_grad_(".lora_" in name)
    principal(ours, "pissa")
    ids = torch.arange(5, 45)[None]
    losses = []
    for model in (theirs, ours):
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.0)
        mine = []
        for _ in range(4):
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            mine.append(loss.item())
        losses.append(mine)
    assert losses[1] == pytest.approx(losses[0], rel=2e-3)


def test_eva_begins_with_the_directions_in_which_its_inputs_vary_most(load: Callable[..., Any]):
    import torch
    from peft import LoraConfig, get_peft_model

    from studio.training.initial import directions

    model = get_peft_model(load(), LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    ids = [torch.randint(5, 200, (1, 40)) for _ in range(3)]
    layer: Any = model.get_submodule("base_model.model.model.layers.1.self_attn.q_proj")
    seen: list[Any] = []
    handle = layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][0].detach()))
    directions(model, (model(part) for part in ids))
    handle.remove()
    _, _, best = torch.linalg.svd(torch.cat(seen), full_matrices=False)
    found = layer.lora_A["default"].weight
    inputs = torch.cat(seen)
    assert (inputs @ found.t()).norm() > 0.99 * (inputs @ best[:4].t()).norm()
    assert torch.allclose(found @ found.t(), torch.eye(4), atol=1e-4)
    other: Any = model.get_submodule("base_model.model.model.layers.1.self_attn.v_proj")
    assert torch.equal(found, other.lora_A["default"].weight)  # the same input, the same directions


@pytest.mark.parametrize(
    ("kind", "fused"), [("rslora", True), ("pissa", True), ("eva", True), ("dora", False), ("full", False)]
)
def test_which_kinds_keep_the_fast_path(load: Callable[..., Any], tmp_path: Path, kind: str, fused: bool):
    from studio.training import choosing
    from studio.training.loss_model import LossModel
    from tests.training.kit import make_job

    model = LossModel(load(), make_job(tmp_path, adapter={"kind": kind, "rank": 16}), 0)
    choosing.choose(model)
    assert bool(model.fusion.groups) == fused
    assert bool(model.fusion.gated) == fused
    model.release()


def test_layers_are_chosen_by_expression_with_ranks_of_their_own_and_one_scale(run: Callable[..., Any]):
    adapter = {"rank": 4, "targets": [r"layers\.0\..*_proj", "down_proj"], "ranks": {"down_proj": 8, "layers.0.self_attn.*": 2}}
    _, _, job = run(adapter=adapter, max_steps=1, held_out=None)
    ranks = {
        name.removesuffix(".lora_A.weight")[17:]: len(value)
        for name, value in weights(job.adapter_out).items()
        if "lora_A" in name
    }
    assert ranks["model.layers.1.mlp.down_proj"] == ranks["model.layers.0.mlp.down_proj"] == 8
    assert ranks["model.layers.0.self_attn.k_proj"] == 2
    assert ranks["model.layers.0.mlp.gate_proj"] == 4
    assert "model.layers.1.self_attn.k_proj" not in ranks
    held = settings(job.adapter_out)
    scales = {held["alpha_pattern"][name] / held["rank_pattern"][name] for name in held["rank_pattern"]}
    assert scales == {held["lora_alpha"] / held["r"]}


def test_with_lora_plus_the_b_matrices_have_a_rate_of_their_own(load: Callable[..., Any], tmp_path: Path):
    from studio.training import adapters
    from studio.training.optimizer import OptimizerStep
    from tests.training.kit import make_job

    job = make_job(tmp_path, adapter={"rank": 4, "lora_plus": 16.0}, schedule="constant", warmup=0.0)
    model = adapters.attach(load(), job.adapter, 0)
    optimizer = OptimizerStep(model, job, 10, "adamw")
    rates = {id(each): group["lr"] for group in optimizer.optimizer.param_groups for each in group["params"]}
    for name, each in model.named_parameters():
        if each.requires_grad:
            assert rates[id(each)] == pytest.approx(5e-3 * (16 if ".lora_B." in name else 1))
    assert optimizer.rate == pytest.approx(5e-3)


def test_noise_on_embeddings_is_as_large_as_neftune_says_and_only_while_training(load: Callable[..., Any]):
    import torch

    from studio.training.noise import Noise

    embedding = load().get_input_embeddings()
    ids, plain = torch.arange(5, 45)[None], embedding(torch.arange(5, 45)[None])
    noise = Noise(embedding, 5.0)
    noise.lengths = (10, 30)
    moved = (embedding(ids) - plain).abs()[0]
    hidden = plain.shape[-1]
    for part, length in ((moved[:10], 10), (moved[10:], 30)):
        limit = 5.0 / (length * hidden) ** 0.5
        assert 0.9 * limit < part.max() <= limit * (1 + 1e-5)
    with torch.no_grad():
        assert torch.equal(embedding(ids), plain)
    noise.remove()
    assert torch.equal(embedding(ids), plain)


def test_norms_can_be_trained_whole_beside_the_adapter_and_are_merged(run: Callable[..., Any], load: Callable[..., Any]):
    from peft import PeftModel

    _, _, job = run(adapter={"rank": 4, "modules_to_save": ["norm"]})
    tuned = weights(job.adapter_out)["base_model.model.model.norm.weight"]
    assert not (tuned == load().model.norm.weight).all()
    merged = PeftModel.from_pretrained(load(), job.adapter_out).merge_and_unload()
    assert (merged.model.norm.weight == tuned).all()


@pytest.mark.parametrize(
    ("name", "reason"), [("q_proj", "linear layer"), ("nrom", "matches no module"), ("self_attn", "no weights")]
)
def test_a_module_that_cannot_be_trained_whole_is_refused_by_name(run: Callable[..., Any], name: str, reason: str):
    with pytest.raises(TrainingError, match=reason) as found:
        run(adapter={"rank": 4, "modules_to_save": [name]})
    assert f"`{name}`" in found.value.message
