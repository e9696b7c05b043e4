"""Layers whose inputs wait in RAM, on the pretend GPU, whose copies are made as late as they may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.training import offloading
from tests.gpu.test_training import base
from tests.training.kit import Memory, make_job, weights

pytestmark = pytest.mark.numeric

SETTINGS = {"dtype": "bf16", "gradient_checkpointing": True, "held_out": None, "epochs": 1}


@pytest.fixture
def gpu() -> Iterator[Counter[str]]:
    from tests.gpu.pretend import pretend_gpu

    with pretend_gpu() as seen:
        yield seen


@pytest.fixture
def trained(tiny_model: Path, tmp_path: Path, gpu: Counter[str]) -> Callable[..., Any]:
    """Train the tiny model on the pretend GPU; the adapter's weights, and what was said."""
    from transformers import AutoTokenizer

    from studio.training.fit import fit

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    def run(name: str, **changes: Any) -> tuple[dict[str, Any], list[str]]:
        said = Memory()
        job = make_job(tmp_path / name, device="cuda", quantized=True, **{**SETTINGS, **changes})
        fit(base(tiny_model, quantization="nf4"), tokenizer, job, said)
        return weights(job.adapter_out), [getattr(event, "message", "") for event in said.events]

    return run


@pytest.mark.parametrize("every", [1, 2])
def test_a_run_with_the_inputs_of_layers_in_ram_ends_with_the_same_weights_bit_for_bit(
    trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    copies: list[int] = []
    own = offloading.LayerInputs._copy

    def copy(self: Any, waiting: Any) -> Any:
        copies.append(waiting.ram.numel())
        return own(self, waiting)

    monkeypatch.setattr(offloading.LayerInputs, "_copy", copy)
    kept, _ = trained("kept", activation_offloading=False, recompute_every=every)
    assert not copies
    offloaded, said = trained("offloaded", activation_offloading=True, recompute_every=every)
    assert copies
    assert not [line for line in said if "activation_offloading" in line]
    assert kept.keys() == offloaded.keys()
    assert all((kept[name] == offloaded[name]).all() for name in kept)


def test_the_inputs_of_the_layer_below_are_on_their_way_while_a_layer_is_computed_again(gpu: Counter[str]) -> None:
    import torch

    inputs = offloading.LayerInputs()
    order: list[str] = []
    own = inputs._copy
    inputs._copy = lambda waiting: (order.append("copy"), own(waiting))[1]

    def layer(number: int) -> Callable[[Any], Any]:
        def computed(x: Any) -> Any:
            order.append(f"layer {number}")
            return (x * 2).relu()

        return computed

    value = torch.ones(4, requires_grad=True)
    hidden = value * 1
    for number in range(3):
        hidden = inputs.checkpoint(layer(number), hidden)
    assert order == ["layer 0", "layer 1", "layer 2"]
    del order[:]
    hidden.sum().backward()
    assert order == ["copy", "copy", "layer 2", "copy", "layer 1", "layer 0"]
    assert value.grad is not None
    assert value.grad.tolist() == [8.0] * 4


def test_a_layer_with_two_inputs_gets_both_back_once(gpu: Counter[str]) -> None:
    import torch

    inputs = offloading.LayerInputs()
    copies: list[Any] = []
    own = inputs._copy
    inputs._copy = lambda waiting: (copies.append(waiting), own(waiting))[1]
    first, second = (torch.full((4,), value, requires_grad=True) for value in (2.0, 3.0))
    hidden = first * 1
    for _ in range(3):
        hidden = inputs.checkpoint(lambda x, y: x * y, hidden, second * 1)
    hidden.sum().backward()
    assert second.grad is not None
    assert second.grad.tolist() == [2.0 * 3 * 9] * 4
    assert len(copies) == 6


def test_ram_is_given_back_when_a_graph_is_dropped_without_a_backward_pass(gpu: Counter[str]) -> None:
    import torch

    inputs = offloading.LayerInputs()
    hidden = inputs.checkpoint(lambda x: x * x, torch.ones(4, requires_grad=True) * 1)
    assert inputs.last is not None
    layer = inputs.last()
    assert layer is not None
    (kept,) = layer.inputs
    assert kept() is not None
    del hidden
    assert kept() is None


@pytest.mark.parametrize("omitted", ["wait_stream", "leaving", "wait_event"])
def test_the_pretend_gpu_shows_a_copy_that_nothing_orders(
    trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, omitted: str
) -> None:
    from tests.gpu import streams

    kept, _ = trained("kept", activation_offloading=False)
    if omitted == "leaving":
        monkeypatch.setattr(offloading.LayerInputs, "_let_go", lambda self, most: self.leaving.clear())
    else:
        owner = streams.Stream if omitted == "wait_stream" else streams._Computation
        monkeypatch.setattr(owner, omitted, lambda *_: None)
    try:
        offloaded, said = trained("offloaded", activation_offloading=True)
    except streams.Race:
        return
    refused = [line for line in said if "activation_offloading" in line]
    assert refused or not all((kept[name] == offloaded[name]).all() for name in kept)


def test_a_gradient_that_comes_out_another_is_refused_in_words_and_the_run_goes_on_without(
    trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = offloading.LayerInputs._back
    monkeypatch.setattr(offloading.LayerInputs, "_back", lambda self, kept: own(self, kept) * 2)
    kept, _ = trained("kept", activation_offloading=False)
    refused, said = trained("refused", activation_offloading=True)
    (note,) = [line for line in said if "activation_offloading" in line]
    assert "training.activation_offloading is not used: its gradient differs" in note
    assert all((kept[name] == refused[name]).all() for name in kept)


def test_at_most_three_inputs_of_layers_are_on_the_gpu_however_far_the_host_is_ahead(gpu: Counter[str]) -> None:
    import torch

    inputs = offloading.LayerInputs()
    hidden, held = torch.ones(4, requires_grad=True) * 1, []
    for _ in range(6):
        hidden = inputs.checkpoint(lambda x: (x * 2).relu(), hidden)
        held.append(len(inputs.leaving))
    assert max(held) == offloading.LEAVING
    hidden.sum().backward()
    assert not inputs.leaving


@pytest.mark.parametrize("short", ["nothing is free", "the driver refuses", "inputs come by name"])
def test_where_no_input_goes_to_ram_the_run_says_that_it_takes_more_than_planned(
    trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, short: str
) -> None:
    import psutil
    import torch

    kept, _ = trained("kept", activation_offloading=False)
    if short == "nothing is free":
        free = psutil.virtual_memory()._replace(available=1 << 30)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    elif short == "the driver refuses":
        own = torch.empty

        def empty(*size: Any, pin_memory: bool = False, **named: Any) -> Any:
            if pin_memory:
                raise RuntimeError("CUDA error: out of memory")
            return own(*size, **named)

        monkeypatch.setattr(torch, "empty", empty)
    else:
        monkeypatch.setattr(offloading.LayerInputs, "_out", lambda self, value, layer: value)
    left, said = trained("left", activation_offloading=True)
    (line,) = [line for line in said if "activation_offloading" in line]
    assert line.startswith("training.activation_offloading is not used: no input of a layer went to RAM")
    assert line.endswith("The run takes more memory than was planned")
    assert all((kept[name] == left[name]).all() for name in kept)


def test_what_a_trial_leaves_half_done_does_not_reach_the_first_step(
    trained: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, called = offloading.LayerInputs._back, [0]

    def fails(self: Any, waiting: Any) -> Any:
        called[0] += 1
        if called[0] == 2:
            raise ValueError("half-way through the backward pass")
        return own(self, waiting)

    kept, _ = trained("kept", activation_offloading=False)
    monkeypatch.setattr(offloading.LayerInputs, "_back", fails)
    failed, said = trained("failed", activation_offloading=True)
    assert [line for line in said if "half-way through" in line]
    assert all((kept[name] == failed[name]).all() for name in kept)
