"""Adapted layers computed together: the same numbers and gradients as PEFT's own, on real architectures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.training import adapters, fusing
from studio.training.settings import ResolvedAdapter
from tests.training.kit import make_job, make_rows, weights

pytestmark = pytest.mark.numeric

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {},
    "qwen3": {},
    "gemma3_text": {"sliding_window": 8},
    "phi3": {},
}
SIZES = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 1,
}


def build(arch: str, adapter: ResolvedAdapter | None = None, **changes: Any) -> tuple[Any, Any]:
    """A random model with an adapter whose weights are all away from zero."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_config(AutoConfig.for_model(arch, **{**SIZES, **changes}), dtype=torch.float32)
    model = adapters.attach(base.requires_grad_(False), adapter or ResolvedAdapter(rank=4, alpha=6), 0)
    return base, randomised(model)


def randomised(model: Any) -> Any:
    import torch

    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def tokens() -> Any:
    import torch

    return torch.randint(2, 120, (2, 17), generator=torch.Generator().manual_seed(2))


def result(base: Any, model: Any) -> tuple[Any, dict[str, Any]]:
    """Logits, and the gradients of a loss over them."""
    model.zero_grad()
    logits = base(input_ids=tokens(), use_cache=False).logits
    logits.float().log_softmax(-1)[..., 7].sum().backward()
    return logits.detach(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@contextlib.contextmanager
def fused(base: Any, model: Any, **how: Any) -> Iterator[fusing.Fusion]:
    import torch

    with fusing.watching(model) as layers, torch.no_grad():
        base(input_ids=tokens(), use_cache=False)
    fusion = fusing.fuse(model, layers, **how)
    yield fusion
    fusion.undo()


def assert_near(found: dict[str, Any], wanted: dict[str, Any], share: float) -> None:
    assert found.keys() == wanted.keys()
    for name, values in wanted.items():
        assert (found[name] - values).abs().max() <= share * values.abs().max(), name


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("arch", list(ARCHITECTURES))
def test_fused_layers_give_pefts_logits_and_gradients(arch: str, checkpointing: bool):
    base, model = build(arch, **ARCHITECTURES[arch])
    model.train()
    if checkpointing:
        base.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    logits, wanted = result(base, model)
    with fused(base, model) as fusion:
        found_logits, found = result(base, model)
        assert not fusion.refused
        assert sorted(len(group.members) for group in fusion.groups) == (
            [1] * 8 if arch == "phi3" else [1] * 4 + [2] * 2 + [3] * 2
        )
        assert len(fusion.gated) == 2
        assert all(group.x is None and not group.waiting for group in fusion.groups)
    assert (found_logits - logits).abs().max() < 1e-5
    assert_near(found, wanted, 2e-5)
    assert not any("forward" in module.__dict__ for module in model.modules() if module is not base)


def test_the_hand_written_gradients_are_those_of_finite_differences():
    import torch

    from studio.training.fused import ACTIVATIONS, Gate, Member, _Gated, _Layers

    def member(inputs: int, outputs: int, bias: bool, rank: int) -> Member:
        from peft import LoraConfig
        from peft.tuners.lora import Linear

        config = LoraConfig(r=rank, lora_alpha=3)
        layer = Linear(torch.nn.Linear(inputs, outputs, bias=bias), "default", config, r=rank, lora_alpha=3)
        return Member(layer.double(), "default", layer.forward)

    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    first, last, whole = [member(5, 4, True, 2), member(5, 4, False, 3)], member(4, 5, True, 2), member(5, 8, False, 2)

    def inputs(*members: Member) -> list[Any]:
        shapes = [(m.rank, m.base.in_features) for m in members], [(m.base.out_features, m.rank) for m in members]
        return [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for part in shapes for shape in part]

    assert torch.autograd.gradcheck(lambda x, *a: _Layers.apply(x, first, torch.float64, *a), (x, *inputs(*first)))
    for act in map(Gate, ACTIVATIONS):
        for members in (first, [whole]):
            assert torch.autograd.gradcheck(
                lambda x, *a, members=members, act=act: _Gated.apply(x, members, last, act, torch.float64, *a),
                (x, *inputs(*members), *inputs(last)),
            )


def test_in_16_bit_fused_layers_are_as_near_to_32_bit_as_pefts():
    import torch
    from peft.helpers import disable_input_dtype_casting

    base, model = build("llama")
    logits, exact = result(base, model)
    for name, module in base.named_modules():
        if "lora" not in name:
            for values in module._parameters.values():
                if values is not None and not values.requires_grad:
                    values.data = values.data.bfloat16()

    def error(found: dict[str, Any]) -> float:
        return sum(((found[name] - values).norm() / values.norm()).item() for name, values in exact.items()) / len(exact)

    with torch.autocast("cpu", torch.bfloat16), disable_input_dtype_casting(model):
        _, theirs = result(base, model)
        with fused(base, model):
            ours_logits, ours = result(base, model)
    assert ours_logits.dtype == torch.bfloat16
    assert (ours_logits.float() - logits).abs().max() < 0.1 * logits.abs().max()
    assert all(values.dtype == torch.float32 for values in ours.values())
    assert error(ours) < 1.1 * error(theirs) < 0.1


@pytest.mark.parametrize(
    ("adapter", "why"),
    [(ResolvedAdapter(rank=4, alpha=8, dropout=0.1), "dropout"), (ResolvedAdapter(rank=4, alpha=8, kind="dora"), "DoRA")],
)
def test_what_cannot_be_fused_stays_with_peft_and_says_why(adapter: ResolvedAdapter, why: str):
    base, model = build("llama", adapter)
    with fused(base, model) as fusion:
        assert not fusion.groups
        assert not fusion.modules
        (reason,) = fusion.refused
        assert why in reason
        assert fusion.refused[reason] == 14


def test_a_disabled_or_second_adapter_is_computed_by_peft():
    import torch

    base, model = build("llama")
    with torch.no_grad():
        tuned = base(input_ids=tokens()).logits
        with model.disable_adapter():
            plain = base(input_ids=tokens()).logits
        with fused(base, model):
            assert torch.allclose(base(input_ids=tokens()).logits, tuned, atol=1e-5)
            with model.disable_adapter():
                assert torch.equal(base(input_ids=tokens()).logits, plain)
    model.add_adapter("other", model.peft_config["default"])
    with fused(base, model) as fusion:
        assert fusion.refused == {"it has several adapters": 14}


def test_layers_that_turn_out_to_have_inputs_of_their_own_are_computed_alone():
    import torch

    base, model = build("llama")
    attention = base.model.layers[0].self_attn
    one, other = torch.randn(2, 3, 64), torch.randn(2, 3, 64)
    wanted = [attention.q_proj(one), attention.k_proj(other), attention.k_proj(one)]
    with fused(base, model) as fusion:
        found = [attention.q_proj(one), attention.k_proj(other), attention.k_proj(one)]
        assert not fusion.groups[0].together
        assert fusion.groups[2].together
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(found, wanted, strict=True))


def test_a_feed_forward_that_does_more_than_gate_is_left_alone():
    adapter = ResolvedAdapter(rank=4, alpha=8, targets=["gate_proj", "up_proj", "down_proj"])
    mamba = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8}
    base, model = build("falcon_h1", adapter, mlp_multipliers=[3.0, 1.0], **mamba)
    with fused(base, model) as fusion:
        assert fusion.groups
        assert not fusion.gated


def clipping(self: Any, x: Any) -> Any:
    """As DeepSeek V4 and GLM 5 gate."""
    return self.down_proj(self.act_fn(self.gate_proj(x).clamp(max=7)) * self.up_proj(x).clamp(-7, 7))


def dropping(self: Any, x: Any) -> Any:
    import torch

    self.drop = torch.nn.Dropout(0.5).train(self.training)
    return self.down_proj(self.drop(self.act_fn(self.gate_proj(x)) * self.up_proj(x)))


@pytest.mark.parametrize("forward", [clipping, dropping])
def test_a_feed_forward_that_clips_far_out_or_drops_while_training_is_left_alone(
    forward: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    from transformers.models.llama.modeling_llama import LlamaMLP

    monkeypatch.setattr(LlamaMLP, "forward", forward)
    base, model = build("llama")
    base.eval()
    with fused(base, model) as fusion:
        assert fusion.groups
        assert not fusion.gated


def test_an_activation_that_clips_far_out_is_not_taken_for_the_plain_one():
    from transformers.activations import ACT2FN

    assert fusing._kind(ACT2FN["gelu"]) == "gelu"
    assert not fusing._kind(ACT2FN["gelu_10"])


def test_fusing_that_ends_early_leaves_every_layer_as_it_was(monkeypatch: pytest.MonkeyPatch):
    import torch

    base, model = build("llama")
    tried: list[Any] = []

    def interrupted(gated: Any, module: Any) -> bool:
        tried.append(module)
        if len(tried) == 2:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(fusing, "_same", interrupted)
    with fusing.watching(model) as layers, torch.no_grad():
        base(input_ids=tokens(), use_cache=False)
    with pytest.raises(KeyboardInterrupt):
        fusing.fuse(model, layers)
    assert not any("forward" in module.__dict__ for module in model.modules() if module is not base)


@pytest.mark.parametrize(("checkpointing", "reuse", "wanted"), [(False, True, 2), (True, True, 2), (True, False, 3)])
def test_a_4_bit_weight_is_unpacked_twice_a_step(
    checkpointing: bool, reuse: bool, wanted: int, load: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from studio.training import choosing, fused
    from studio.training.layouts import pack
    from studio.training.loss_model import LossModel
    from tests.training.kit import items

    counted: dict[int, int] = {}

    def unpack(weight: Any, own: Callable[[Any], Any] = fused.unpack) -> Any:
        counted[id(weight)] = counted.get(id(weight), 0) + 1
        return own(weight)

    rows = make_rows([20, 30])
    job = make_job(tmp_path, train=rows, quantized=True, gradient_checkpointing=checkpointing, reuse_dequantized=reuse)
    base = load(quantization="nf4")
    loss_model = LossModel(base, job, pad=0)
    choosing.choose(loss_model)
    randomised(loss_model.model).train()
    monkeypatch.setattr(fused, "unpack", unpack)
    loss = loss_model.loss(pack(items(rows)))
    loss.backward()
    first = set(list(counted)[:3]) if not checkpointing else set()  # below the first adapters no gradient is wanted
    assert {count for weight, count in counted.items() if weight not in first} == {wanted}
    assert len(counted) == 14
    assert all(member.unpacked is None for group in loss_model.fusion.groups for member in group.members)
    found = {name: p.grad.clone() for name, p in loss_model.model.named_parameters() if p.grad is not None}
    loss_model.fusion.undo()
    loss_model.model.zero_grad()
    plain = loss_model.loss(pack(items(rows)))
    plain.backward()
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5)
    assert_near(found, {name: p.grad for name, p in loss_model.model.named_parameters() if p.grad is not None}, 1e-3)


@pytest.mark.parametrize("changes", [{}, {"gradient_checkpointing": True}, {"packing": False, "micro_batch": 4}])
def test_a_run_with_fused_adapters_has_the_losses_and_weights_of_one_without(
    run: Callable[..., Any], whole: Any, changes: dict[str, Any]
):
    _, told, job = run(fused_adapters=False, **changes)
    assert list(whole[1].series("loss").values()) == pytest.approx(list(told.series("loss").values()), abs=1e-4)
    for name, values in weights(job.adapter_out).items():
        assert abs(weights(whole[2].adapter_out)[name] - values).max() < 2e-3
