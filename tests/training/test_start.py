"""A run may train an adapter further: it begins exactly where that one ended."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio import planner, spec
from studio.core.errors import SpecError, TrainingError
from tests.training.kit import PAIR_LENGTHS, make_pairs, weights

pytestmark = pytest.mark.numeric


def test_it_begins_with_the_very_weights_and_the_held_out_loss_that_the_other_run_ended_with(
    run: Callable[..., Any], whole: Any
):
    result, _, job = whole
    _, told, again = run(start=job.adapter_out, max_steps=1, learning_rate=1e-30)
    assert told.series("eval_loss")[0] == result.last_loss
    before, after = weights(job.adapter_out), weights(again.adapter_out)
    assert before.keys() == after.keys()
    assert all(abs(before[name] - after[name]).max() < 1e-12 for name in before)


def test_preferences_are_compared_with_the_adapter_as_it_starts_not_with_the_base(run: Callable[..., Any], whole: Any):
    pairs = make_pairs(PAIR_LENGTHS)
    settings: dict[str, Any] = {"method": {"kind": "dpo", "sft": 0}, "train": pairs, "held_out": pairs, "max_steps": 2}
    _, told, _ = run(start=whole[2].adapter_out, **settings)
    assert told.series("loss")[1] == pytest.approx(math.log(2), rel=1e-5)
    answers = len(pairs.lengths)
    assert {("held-out pair", answers / 2), ("answer scored before training", answers)} <= told.progressed
    assert told.series("eval_loss")[0] == pytest.approx(math.log(2), rel=1e-5)
    assert told.series("logp_chosen")[1] != pytest.approx(run("fresh", **settings)[1].series("logp_chosen")[1], rel=1e-6)


def test_a_4_bit_base_takes_it_too(run: Callable[..., Any], load: Callable[..., Any], whole: Any):
    base = load(quantization="nf4")
    _, told, job = run(start=whole[2].adapter_out, base=base, quantized=True, max_steps=1)
    _, other, _ = run("again", start=job.adapter_out, base=load(quantization="nf4"), quantized=True, max_steps=1)
    assert other.series("eval_loss")[0] == told.series("eval_loss")[1]


def test_an_adapter_of_another_model_is_refused(run: Callable[..., Any], whole: Any, tmp_path: Path):
    import torch
    from safetensors.torch import save_file

    start = shutil.copytree(whole[2].adapter_out, tmp_path / "other")
    changed = weights(start)
    name = next(iter(changed))
    changed[name] = torch.zeros(1, 1)
    save_file(changed, start / "adapter_model.safetensors")
    with pytest.raises(TrainingError, match="does not fit"):
        run(start=start)


@pytest.fixture
def start(whole: Any, tmp_path: Path) -> Callable[..., Path]:
    def start(**changes: Any) -> Path:
        folder = shutil.copytree(whole[2].adapter_out, tmp_path / "start")
        file = folder / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
        return folder

    return start


def asked(folder: Path, **adapter: Any) -> spec.RunSpec:
    return spec.parse({"data": {"train": "a.csv"}, "adapter": {"start_from": str(folder), **adapter}})


def test_rank_strength_and_layers_are_taken_over(start: Callable[..., Path], tmp_path: Path):
    folder = start()
    found = planner.settled(asked(folder), planner.start_folder(asked(folder), tmp_path))
    assert (found.adapter.rank, found.adapter.alpha, found.adapter.kind) == (4, 8, "lora")
    assert "q_proj" in found.adapter.targets


def test_a_field_that_says_otherwise_is_refused_at_its_own_place(start: Callable[..., Path]):
    folder = start()
    assert planner.settled(asked(folder, rank=4), folder).adapter.rank == 4
    with pytest.raises(SpecError, match=r"it is 32, and the adapter the run starts from has 4") as found:
        planner.settled(asked(folder, rank=32), folder)
    assert found.value.where == "adapter.rank"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"peft_type": "IA3"}, "kind IA3"),
        ({"modules_to_save": ["lm_head"]}, "whole layers"),
        ({"trainable_token_indices": [1]}, "tokens of its own"),
        ({"bias": "all"}, "biases"),
        ({"init_lora_weights": "pissa_niter_16"}, "began with PiSSA, which changed the base"),
    ],
)
def test_adapters_that_an_export_could_not_carry_are_refused(changes: dict[str, Any], words: str, start: Callable[..., Path]):
    folder = start(**changes)
    with pytest.raises(SpecError, match=words):
        planner.settled(asked(folder), folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"r": 8}, "says rank 8, and model.layers.0"),
        ({"rank_pattern": {"q_proj": 10**9}}, "says rank 1000000000, and model.layers.0.self_attn.q_proj"),
        ({"rank_pattern": {"lm_head": 10**9}}, "says rank 1,000,000,000"),
        ({"rank_pattern": 5}, "rank_pattern must be whole numbers by layer, and is 5"),
        ({"lora_alpha": "x"}, "lora_alpha must be a number, and is 'x'"),
        ({"lora_alpha": float("nan")}, "lora_alpha must be a number, and is nan"),
        ({"target_modules": ["q_proj"]}, "leaves out"),
        ({"target_modules": []}, "target_modules is empty"),
        ({"layers_to_transform": [1]}, "leaves out"),
    ],
)
def test_a_config_that_does_not_say_what_the_tensors_are_is_refused_before_anything_is_allocated(
    changes: dict[str, Any], words: str, start: Callable[..., Path]
) -> None:
    with pytest.raises(SpecError, match=words):
        planner.settled(asked(folder := start(**changes)), folder)


def test_an_adapter_with_infinity_in_it_is_refused_before_the_plan(start: Callable[..., Path]) -> None:
    from safetensors.torch import save_file

    folder = start()
    matrices = weights(folder)
    next(iter(matrices.values()))[0, 0] = float("inf")
    save_file(matrices, folder / "adapter_model.safetensors")
    with pytest.raises(SpecError, match="holds NaN or infinity"):
        planner.settled(asked(folder), folder)


def test_an_adapter_that_lacks_matrices_is_refused(start: Callable[..., Path]) -> None:
    from safetensors.torch import save_file

    folder = start()
    kept = {name: part for name, part in weights(folder).items() if "lora_A" in name}
    save_file(kept, folder / "adapter_model.safetensors")
    with pytest.raises(SpecError, match="has its matrix A and no B"):
        planner.settled(asked(folder), folder)


@pytest.mark.parametrize(
    ("changes", "words"), [({"hidden_size": 128}, "is for 64 values"), ({"num_hidden_layers": 1}, "1 layer:")]
)
def test_an_adapter_of_another_base_is_refused_by_its_config(
    changes: dict[str, int], words: str, start: Callable[..., Path]
) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    base = {"model_type": "llama", "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 500, **sizes}
    folder = start()
    assert planner.settled(asked(folder), folder, base).adapter.rank == 4
    with pytest.raises(SpecError, match=words):
        planner.settled(asked(folder), folder, {**base, **changes})


def test_an_adapter_with_a_scale_and_ranks_of_its_own_is_taken_as_it_is(start: Callable[..., Path]):
    from safetensors.torch import save_file

    folder = start(use_rslora=True, target_modules=".*proj", rank_pattern={"layers.0.self_attn.q_proj": 4}, r=8)
    changed = weights(folder)
    for name in [name for name in changed if "layers.0.self_attn.q_proj" not in name]:
        part = changed[name]
        changed[name] = part.repeat(2, 1) if "lora_A" in name else part.repeat(1, 2)
    save_file(changed, folder / "adapter_model.safetensors")
    found = planner.settled(asked(folder), folder)
    assert (found.adapter.kind, found.adapter.rank) == ("rslora", 8)
    assert found.adapter.ranks == {"model.layers.0.self_attn.q_proj": 4}
    assert "model.layers.1.mlp.down_proj" in found.adapter.targets


def test_what_is_not_there_is_refused_before_anything_starts(tmp_path: Path):
    with pytest.raises(SpecError, match="there is no run `nothing`, nor such a folder"):
        planner.start_folder(asked(Path("nothing")), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SpecError, match="no adapter in this folder"):
        planner.start_folder(asked(tmp_path / "empty"), tmp_path)
