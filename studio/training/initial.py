"""How an adapter begins: PiSSA's and OLoRA's principal parts, EVA's directions. LoRA begins at zero, and needs nothing of this.

PiSSA and OLoRA begin with a part B0 A0 of each weight, and take that part out of the base. Then the base is no longer the
base: switching the adapter off does not give it back, and an adapter file without the changed base is worth nothing. Here
the base is left alone, and the adapter carries the difference: A is [A; A0] and B is [B, -B0], and of both only the first
half is trained. What is computed is W + s (B A - B0 A0), which is the same; the file is plain LoRA of twice the rank.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from studio.training import fusing
from studio.training.kinds import KindName

if TYPE_CHECKING:
    import torch
    from torch import nn

ITERATIONS = 4
"""Subspace iterations of the randomised singular value decomposition (Halko et al. 2011), as PiSSA takes them."""
EXACT = 256
"""Rows or columns up to which a decomposition is made exactly."""
EVA_BATCHES = 8
"""Micro-batches of the run's rows whose activations EVA looks at."""


def principal(model: nn.Module, kind: KindName) -> None:
    """Begin the adapter of a PEFT model, made with twice the rank, with the principal part of each weight.

    kind: pissa or olora. The second half of each matrix is what the adapter began with, negated, and gets no gradient.
    """
    import torch

    for _, layer in fusing.adapted(model):
        name = layer.active_adapters[0]
        down, up, scaling = layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name]
        rank = down.shape[0] // 2
        weight = layer.get_base_layer().weight.detach().to(down.device, torch.float32)
        with torch.no_grad():
            left, right = (_singular if kind == "pissa" else _orthogonal)(weight, rank)
            left, right = left / scaling**0.5, right / scaling**0.5
            down.copy_(torch.cat([right, right]))
            up.copy_(torch.cat([left, -left], dim=1))
        down.register_post_accumulate_grad_hook(_without_gradient(slice(rank, None)))
        up.register_post_accumulate_grad_hook(_without_gradient((slice(None), slice(rank, None))))


def _singular(weight: torch.Tensor, rank: int) -> tuple[Any, Any]:
    """B [outputs, rank] and A [rank, inputs] whose product is the best of that rank (Eckart & Young 1936)."""
    left, values, right = _largest(weight, rank)
    root = values[:rank].sqrt()
    return _padded(left[:, :rank] * root, rank, 1), _padded(root[:, None] * right[:rank], rank, 0)


def _largest(matrix: torch.Tensor, rank: int) -> tuple[Any, Any, Any]:
    """The singular value decomposition, its first `rank` and some more: left [rows, n], values [n], right [n, columns]."""
    import torch

    if min(matrix.shape) <= EXACT:
        return torch.linalg.svd(matrix, full_matrices=False)
    left, values, right = torch.svd_lowrank(matrix, q=min(2 * rank + 8, *matrix.shape), niter=ITERATIONS)
    return left, values, right.t()


def _orthogonal(weight: torch.Tensor, rank: int) -> tuple[Any, Any]:
    """The same from the QR decomposition's first columns and rows."""
    import torch

    left, right = torch.linalg.qr(weight)
    return _padded(left[:, :rank], rank, 1), _padded(right[:rank], rank, 0)


def _padded(part: torch.Tensor, rank: int, axis: int) -> Any:
    """With zeros up to `rank`, where a weight has fewer rows or columns than that."""
    import torch

    short = rank - part.shape[axis]
    if short <= 0:
        return part
    shape = [*part.shape]
    shape[axis] = short
    return torch.cat([part, part.new_zeros(shape)], dim=axis)


def _without_gradient(index: Any) -> Any:
    """A hook that forgets the gradient at `index`: with none, AdamW leaves numbers as they are."""

    def forget(weight: Any) -> None:
        weight.grad[index] = 0

    return forget


def directions(model: nn.Module, passes: Iterable[Any]) -> None:
    """Begin each A of a PEFT model with the main directions of its layer's inputs: their first right singular vectors.

    passes: an iterable that runs a forward pass of `model` on rows of the run with each step. Their activations are taken in
    one by one, as EVA does; layers with the same input share its directions. Every layer keeps the rank it has.
    """
    import torch

    found: dict[int, Any] = {}
    last: list[Any] = []

    def look(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if last and last[0] is inputs[0] and found[id(last[1])].shape[0] >= _rank(layer):
            found[id(layer)] = found[id(last[1])]
            return
        rows = inputs[0].detach().reshape(-1, inputs[0].shape[-1]).float()
        if id(layer) in found:
            rows = torch.cat([found[id(layer)], rows])
        _, values, right = _largest(rows, _rank(layer))
        kept = 2 * _rank(layer) + 8
        found[id(layer)] = values[:kept, None] * right[:kept]
        last[:] = [inputs[0], layer]

    layers = [layer for _, layer in fusing.adapted(model)]
    handles = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        with torch.no_grad():
            for _ in passes:
                last.clear()
    finally:
        for handle in handles:
            handle.remove()
    for layer in layers:
        with torch.no_grad():
            main = torch.nn.functional.normalize(found[id(layer)][: _rank(layer)], dim=1)
            layer.lora_A[layer.active_adapters[0]].weight.copy_(_padded(main, _rank(layer), 0))


def _rank(layer: Any) -> int:
    return layer.lora_A[layer.active_adapters[0]].weight.shape[0]
