"""Exports of every kind of adapter answer as base + adapter: those that begin elsewhere, and whole layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import ExportError
from studio.core.files import read_json
from studio.export.make import Probe, Source, export
from studio.export.targets.adapter.settings import AdapterTarget
from studio.export.targets.gguf.settings import GgufTarget
from studio.export.targets.gguf_adapter.settings import GgufAdapterTarget
from studio.export.targets.merged.settings import MergedTarget
from studio.models.settings import Model
from studio.tracking.reporter import Silent
from studio.training.settings import ResolvedAdapter

pytestmark = pytest.mark.numeric


def made(home: Path, **adapter: Any) -> Source:
    """A run on the starter whose adapter was moved from where its kind begins."""
    import torch

    from studio.models import loading
    from studio.training import adapters

    held = Model(name="starter", quantization="none", dtype="fp32")
    settings = ResolvedAdapter.model_validate({"rank": 4, "alpha": 8, **adapter})
    model = adapters.attach(loading.load_base(held, "cpu"), settings, 0)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad and ".lora_A" not in name:
                weight += 0.02 * torch.randn_like(weight)
    adapters.save(model, home / "adapter")
    return Source(loading.find(held), held, home / "adapter", "bot", home / "exports")


@pytest.mark.parametrize("kind", ["pissa", "eva"])
def test_one_that_begins_elsewhere_is_plain_lora_for_every_target(kind: str, tmp_path: Path, probe: Probe):
    adapter = {"kind": kind} if kind == "pissa" else {"kind": "rslora", "ranks": {"down_proj": 8}}
    source = made(tmp_path, **adapter)
    assert source.rank == 8
    targets = [AdapterTarget(), MergedTarget(), GgufAdapterTarget()]
    assert all(export(target, source, probe, Silent()).verification.passed for target in targets)
    assert source.by_name


def test_full_fine_tuning_is_exported_as_the_whole_model_it_is(tmp_path: Path, probe: Probe):
    source = made(tmp_path, kind="full", rank=16, alpha=32)
    merged, gguf = (export(target, source, probe, Silent()) for target in (MergedTarget(), GgufTarget(quant="f16")))
    assert merged.verification.passed
    assert gguf.verification.passed
    alone = export(AdapterTarget(), source, probe, Silent())
    assert alone.verification.passed
    assert (alone.serve, alone.details["rank"]) == ([], 0)
    assert "merged for servers" in alone.details["hot_swap"]
    with pytest.raises(ExportError, match="whole layers"):
        export(GgufAdapterTarget(), source, probe, Silent())


def test_norms_trained_beside_the_adapter_are_in_what_is_merged(tmp_path: Path, probe: Probe):
    source = made(tmp_path, modules_to_save=["norm", "input_layernorm"])
    assert "model.layers.0.input_layernorm" in read_json(source.adapter / "adapter_config.json")["modules_to_save"]
    assert export(MergedTarget(), source, probe, Silent()).verification.passed
