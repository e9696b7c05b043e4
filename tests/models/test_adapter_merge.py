"""Merged adapters: `cat` is exact whatever the adapters are scaled by, a smaller rank tells its error, the rest is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import ModelError
from studio.models import adapter_files, adapter_merge
from studio.models.adapter_merge import Adapter, MergeRecord

pytestmark = pytest.mark.numeric
WIDTHS = {"model.layers.0.self_attn.q_proj": (32, 32), "model.layers.0.mlp.down_proj": (48, 32)}


def made(folder: Path, seed: int, rank: int = 4, layers: dict[str, tuple[int, int]] = WIDTHS, **settings: Any) -> Path:
    """An adapter folder with random matrices."""
    import torch
    from peft import LoraConfig
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=[*layers], **settings)
    config.base_model_name_or_path = "starter"
    config.save_pretrained(str(folder))
    tensors = {}
    for layer, (inputs, outputs) in layers.items():
        own = (settings.get("rank_pattern") or {}).get(layer.rpartition(".")[2], rank)
        tensors[f"base_model.model.{layer}.lora_A.weight"] = torch.randn(own, inputs, generator=generator)
        tensors[f"base_model.model.{layer}.lora_B.weight"] = torch.randn(outputs, own, generator=generator)
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def updates(folder: Path) -> dict[str, Any]:
    """What an adapter adds to each weight, by PEFT's own layers: a base of zeros, merged."""
    import torch
    from peft import PeftModel

    class Base(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config: dict[str, Any] = {}
            for name, (inputs, outputs) in WIDTHS.items():
                layer, here = torch.nn.Linear(inputs, outputs, bias=False), self
                layer.weight.data.zero_()
                *parents, last = name.split(".")
                for part in parents:
                    if not hasattr(here, part):
                        here.add_module(part, torch.nn.Module())
                    here = getattr(here, part)
                here.add_module(last, layer)

    merged: Any = PeftModel.from_pretrained(Base(), str(folder)).merge_and_unload()
    return {name: merged.get_submodule(name).weight.detach() for name in WIDTHS}


def close(one: dict[str, Any], other: dict[str, Any], limit: float = 1e-5) -> bool:
    return all(float((one[name] - other[name]).norm()) <= limit * float(other[name].norm()) for name in one)


UNUSUAL: list[dict[str, Any]] = [
    {},
    {"use_rslora": True},
    {"rank_pattern": {"down_proj": 8}, "alpha_pattern": {"down_proj": 5}},
    {"use_rslora": True, "alpha_pattern": {"q_proj": 3}},
]


@pytest.mark.parametrize("settings", UNUSUAL)
@pytest.mark.parametrize("method", ["cat", "svd"])
def test_one_adapter_with_weight_1_gives_itself(method: Any, settings: dict[str, Any], tmp_path: Path):
    """PEFT's own `add_weighted_adapter` does not for rsLoRA, and says nothing."""
    one = made(tmp_path / "one", 1, **settings)
    none = made(tmp_path / "none", 2)
    record = adapter_merge.merge([Adapter(one, "one", 1.0), Adapter(none, "none", 0.0)], tmp_path / "out", method, rank=None)
    assert close(updates(tmp_path / "out"), updates(one), 1e-4)
    assert record.error < 1e-6


@pytest.mark.parametrize("settings", UNUSUAL)
def test_cat_is_the_exact_sum_of_the_updates(settings: dict[str, Any], tmp_path: Path):
    one, other = made(tmp_path / "one", 1), made(tmp_path / "other", 2, rank=6, **settings)
    record = adapter_merge.merge([Adapter(one, "one", 0.7), Adapter(other, "other", -0.3)], tmp_path / "out")
    first, second = updates(one), updates(other)
    wanted = {name: 0.7 * first[name] - 0.3 * second[name] for name in first}
    assert close(updates(tmp_path / "out"), wanted)
    assert (record.rank, record.error) == (record.exact_rank, 0.0)
    assert MergeRecord.read(tmp_path / "out" / "merge.json") == record


def test_a_layer_that_only_one_of_them_adapts_keeps_its_share(tmp_path: Path):
    one = made(tmp_path / "one", 1)
    other = made(tmp_path / "other", 2, layers={"model.layers.0.self_attn.q_proj": (32, 32)})
    for method in ("cat", "svd"):
        adapter_merge.merge([Adapter(one, "a", 0.5), Adapter(other, "b", 0.5)], tmp_path / method, method, rank=8)
        layer = "model.layers.0.mlp.down_proj"
        assert close({layer: updates(tmp_path / method)[layer]}, {layer: 0.5 * updates(one)[layer]})


def test_a_smaller_rank_is_the_nearest_and_its_error_is_the_one_told(tmp_path: Path):
    import torch

    parts = [Adapter(made(tmp_path / str(seed), seed), str(seed), 0.5) for seed in (1, 2)]
    record = adapter_merge.merge(parts, tmp_path / "out", "svd", rank=4)
    whole = {name: sum(0.5 * updates(part.folder)[name] for part in parts) for name in WIDTHS}
    found = updates(tmp_path / "out")
    off = sum(float((found[name] - whole[name]).square().sum()) for name in whole) ** 0.5
    size = sum(float(whole[name].square().sum()) for name in whole) ** 0.5  # pyright: ignore[reportAttributeAccessIssue]
    assert record.error == pytest.approx(off / size, rel=1e-3)
    values = {name: torch.linalg.svdvals(whole[name]) for name in whole}
    best = sum(float(each[4:].square().sum()) for each in values.values()) ** 0.5
    assert off == pytest.approx(best, rel=1e-3)


def test_ties_keeps_where_they_agree_and_dare_the_sum_on_average(tmp_path: Path):
    parts = [Adapter(made(tmp_path / str(seed), seed), str(seed), 0.5) for seed in (1, 2)]
    same = [parts[0], Adapter(parts[0].folder, "again", 0.5)]
    everything = adapter_merge.merge(same, tmp_path / "all", "ties", rank=8, density=1.0)
    assert close(updates(tmp_path / "all"), updates(parts[0].folder), 1e-3)  # the same twice, all kept: itself
    assert everything.changed < 1e-3
    ties = adapter_merge.merge(parts, tmp_path / "ties", "ties", rank=32)
    dare = [adapter_merge.merge(parts, tmp_path / f"dare{seed}", "dare", rank=32, seed=seed) for seed in range(2)]
    assert ties.density == 0.2
    assert ties.changed > 0.1
    assert dare[0].changed == pytest.approx(1.0, abs=0.25)  # at half of them, the noise is as large as the update itself
    one, other = updates(tmp_path / "dare0"), updates(tmp_path / "dare1")
    assert not close(one, other, 0.5)
    again = adapter_merge.merge(parts, tmp_path / "again", "dare", rank=32, seed=0)
    assert close(updates(tmp_path / "again"), one)
    assert again.changed == dare[0].changed


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["norm"]}, "trained whole"),
        ({"lora_bias": True}, "have biases"),
        ({"trainable_token_indices": [1]}, "tokens"),
        ({"bias": "all"}, "biases of the base"),
    ],
)
def test_what_is_no_plain_update_is_refused_by_name(settings: dict[str, Any], words: str, tmp_path: Path):
    one, other = made(tmp_path / "one", 1), made(tmp_path / "other", 2)
    file = other / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **settings}))
    with pytest.raises(ModelError, match=words) as found:
        adapter_merge.merge([Adapter(one, "one", 1.0), Adapter(other, "other", 1.0)], tmp_path / "out")
    assert found.value.message.startswith("other cannot be merged")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("began", "name"), [("pissa_niter_4", "PiSSA"), ("olora", "OLoRA"), ("lora_ga", "LoRA-GA")])
def test_an_adapter_that_began_by_changing_its_base_is_refused(began: str, name: str, tmp_path: Path):
    """PEFT changes the base again when it loads one, and says nothing: switched off, the adapter does not give the base."""
    one, other = made(tmp_path / "one", 1), made(tmp_path / "other", 2)
    file = other / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "init_lora_weights": began}))
    with pytest.raises(ModelError, match=f"began with {name}, which changed the base"):
        adapter_merge.merge([Adapter(one, "one", 1.0), Adapter(other, "other", 1.0)], tmp_path / "out")
    with pytest.raises(ModelError, match=f"began with {name}"):  # what chat, serve, export and evidence read it by
        adapter_files.check(other)


def test_adapters_of_other_bases_and_sizes_are_refused(tmp_path: Path):
    one, other = made(tmp_path / "one", 1), made(tmp_path / "other", 2)
    narrow = made(tmp_path / "narrow", 3, layers={name: (16, 16) for name in WIDTHS})
    with pytest.raises(ModelError, match="has other sizes in one of one, narrow"):
        adapter_merge.merge([Adapter(one, "one", 1.0), Adapter(narrow, "narrow", 1.0)], tmp_path / "out")
    file = other / "adapter_config.json"
    file.write_text(file.read_text("utf-8").replace('"starter"', '"Qwen/Qwen3-8B"'))
    with pytest.raises(ModelError, match="one was trained on starter, and other on Qwen/Qwen3-8B"):
        adapter_merge.merge([Adapter(one, "one", 1.0), Adapter(other, "other", 1.0)], tmp_path / "out")
