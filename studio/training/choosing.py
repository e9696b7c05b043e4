"""The fastest exact way of computing a model's loss: tried on the data, and used only if it agrees.

Which attention and which head a model needs is its own business: sliding windows, soft caps, scaled logits, recurrent
layers. So fast paths are not trusted but tried, on two short rows of the data, against the model's own forward and backward
pass on each row alone. The first that gives the same losses and the same gradient is used.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from studio.core.text import shorten
from studio.training import attention, fusing, norms, offloading, recomputing
from studio.training.layouts import Item, MicroBatch, pack, pack_shared, pad_rows
from studio.training.loss_path import LossPath, Refusal, probe_rows
from studio.training.modes import evaluating

if TYPE_CHECKING:
    import torch

    from studio.training.loss_model import LossModel


T = TypeVar("T")
APART = 0.2
"""How far a gradient may be from another in 16 bit, as a share of it: roundings make a few hundredths, a wrong sign two."""


@dataclass(frozen=True)
class _Step:
    """Loss of the probe rows together, and the adapter's gradient, in RAM."""

    loss: float
    gradient: list[torch.Tensor]


@dataclass(frozen=True)
class _Expected:
    """What the model's own forward and backward pass gives for the probe rows."""

    losses: list[float]
    gradient: float
    """Norm of the adapter's gradient of the sum of the losses."""


def choose(model: LossModel) -> list[Refusal]:
    """Let `model` use the first path that agrees with its own forward and backward pass; return those that did not.

    Running out of memory, and errors after which the device answers nothing more, are raised, not refused.
    """
    attention.register()
    refused: list[Refusal] = []
    rows = probe_rows(model.job.train, _may_share(model))
    with evaluating(model.model):
        model.use_own()
        with fusing.watching(model.model) as layers:
            losses = [model.loss(pad_rows([row])).item() for row in rows]
        expected = _Expected(losses, _norm(model.gradient([pad_rows([row]) for row in rows])))
        _fuse(model, layers, rows, expected)
        for path in _paths(model):
            model.use(path)
            reason = _difference(model, rows, expected)
            if not reason:
                break
            refused.append(Refusal(path, reason))
        else:
            model.use_own()
    if model.job.device == "cuda":
        _try_on_gpu(model, _probe(model, rows))
    return refused


def _fuse(model: LossModel, layers: list[list[Any]], rows: list[Item], expected: _Expected) -> None:
    """Compute adapted layers together, unless that is off or changes a loss or the gradient."""
    training = model.job.training
    if not training.fused_adapters:
        return
    model.fusion = fusing.fuse(model.model, layers, reuse=training.reuse_dequantized)
    if reason := _difference(model, rows, expected):
        model.fusion.undo()
        model.fusion = fusing.Fusion(refused={reason: sum(map(len, layers))})


def _try_on_gpu(model: LossModel, micro: MicroBatch) -> None:
    """Use what serves a GPU alone, each unless it is off, does not run, or changes a training step."""
    step = _step(model, micro)
    step = _try(model, "fused_norms", micro, step, lambda: _use_norms(model), lambda: model.norms.undo())
    step = _try(model, "triton_kernels", micro, step, lambda: _use_kernels(model), lambda: _leave_kernels(model))
    if model.job.offloads:
        inputs, field, own = offloading.LayerInputs(), "activation_offloading", recomputing.function(model.base)

        def undo() -> None:
            recomputing.use(model.base, own)

        _try(model, field, micro, step, lambda: recomputing.use(model.base, inputs.checkpoint), undo)
        if not inputs.out and field not in model.left:
            undo()
            model.left[field] = "no input of a layer went to RAM: too little is free, or it comes another way"


def _try(
    model: LossModel, field: str, micro: MicroBatch, before: _Step, use: Callable[[], str | None], undo: Callable[[], None]
) -> _Step:
    """Use what a field of `training` stands for, unless that is off, cannot be (`use` gives the reason), or changes loss or
    gradient of a training step. Returns that step as it is from then on."""
    if not getattr(model.job.training, field):
        return before
    reason, after = use(), None
    if not reason:
        after, reason = _tried(lambda: _step(model, micro))
    if after is not None:
        reason = _changed(model, micro, before, after)
    if after is None or reason:
        undo()
        model.left[field] = reason or ""
        return before
    return after


def _step(model: LossModel, micro: MicroBatch) -> _Step:
    """A training step as it is computed now, layers again where training does so."""
    import torch

    with recomputing.training_again(model.model), torch.no_grad():
        loss = model.loss(micro).item()
    with recomputing.training_again(model.model):
        return _Step(loss, [part.cpu() for part in model.gradient([micro])])


def _changed(model: LossModel, micro: MicroBatch, before: _Step, after: _Step) -> str:
    """How a training step differs from before; empty if it does not."""
    if not abs(after.loss - before.loss) <= _loss_tolerance(model, micro.scored.size, before.loss):
        return f"its loss differs ({after.loss:.3g} instead of {before.loss:.3g})"
    apart = _norm([(one - other).norm() for one, other in zip(before.gradient, after.gradient, strict=True)])
    size = _norm(before.gradient)
    if not apart <= (2e-3 if model.job.dtype == "fp32" else APART) * size:
        return f"its gradient differs (by {apart:.3g}, of {size:.3g})"
    return ""


def _use_norms(model: LossModel) -> None:
    model.norms = norms.fuse(model.model)


def _use_kernels(model: LossModel) -> str:
    """Compute by Triton's kernels; the reason if that cannot be."""
    if os.environ.get("TRITON_INTERPRET") == "1":
        return "TRITON_INTERPRET is set, and interpreted kernels are slow"
    try:
        from studio.training import kernels
    except ImportError:
        return "Triton is not installed"
    dtype = model.base.get_output_embeddings().weight.dtype
    if reason := kernels.tried(model.job.device, dtype):
        return reason
    from studio.training import rotary

    model.loss_kernel, model.rotary = kernels.losses, rotary.fuse(model.model, kernels)
    for gated in model.fusion.gated:
        gated.act.kernels = kernels if gated.act.name in kernels.ACTIVATIONS else None
    return ""


def _leave_kernels(model: LossModel) -> None:
    model.loss_kernel = None
    if model.rotary is not None:
        model.rotary.undo()
    for gated in model.fusion.gated:
        gated.act.kernels = None


def _paths(model: LossModel) -> Iterator[LossPath]:
    import torch

    training, head = model.job.training, model.base.get_output_embeddings()
    trained_only = training.loss_on_labels_only and type(head) is torch.nn.Linear and not head.weight.requires_grad
    names = attention.choices(model.base, model.job.device, model.job.dtype)
    if training.packing and training.varlen_attention and _may_share(model):
        for name in filter(attention.is_own, names):
            yield LossPath(name, trained_only, packed=True, shared=True)
    for packed in [True, False] if training.packing else [False]:
        for name in names if training.varlen_attention else names[-1:]:
            yield LossPath(name, trained_only, packed)
        if trained_only:
            yield LossPath(model.own_attention, False, packed)


def _may_share(model: LossModel) -> bool:
    """Whether answers to one prompt come together, and its states are the same for each of them: noise would differ."""
    training = model.job.training
    return (
        training.shared_prompts and training.method.several_answers and not training.neftune and not model.job.adapter.dropout
    )


def _difference(model: LossModel, rows: list[Item], expected: _Expected) -> str:
    """Why the path in use may not be trusted; empty if each row's loss is the same beside the others as it is alone, and
    so is the adapter's gradient."""

    def compared() -> str:
        for index, (loss, (ids, _)) in enumerate(zip(expected.losses, rows, strict=True)):
            beside = [(ids, mask & (index == other)) for other, (ids, mask) in enumerate(rows)]
            actual = model.loss(_probe(model, beside)).item()
            if not abs(actual - loss) <= _loss_tolerance(model, len(ids) - 1, loss):
                return f"its losses differ ({actual:.3g} instead of {loss:.3g})"
        norm = _norm(model.gradient([_probe(model, rows)]))
        if not abs(norm - expected.gradient) <= _gradient_tolerance(model) * expected.gradient:
            return f"its gradient differs (norm {norm:.3g} instead of {expected.gradient:.3g})"
        return ""

    found, reason = _tried(compared)
    return found or reason


def _tried(compute: Callable[[], T]) -> tuple[T | None, str]:
    """What a computation gives, or the reason why it gives nothing: a kernel, or a library, that does not take this model."""
    import torch

    try:
        return compute(), ""
    except (torch.OutOfMemoryError, torch.AcceleratorError, MemoryError):
        raise
    except Exception as error:  # models, kernels and compilers each have errors of their own
        return None, shorten(f"{type(error).__name__}: {error}".partition("\n")[0], 200)


def _loss_tolerance(model: LossModel, tokens: int, loss: float) -> float:
    """How far the summed loss of so many tokens may be from the exact one."""
    return (1e-3 if model.job.dtype == "fp32" else 2e-2) * max(tokens, abs(loss))


def _gradient_tolerance(model: LossModel) -> float:
    """How far the norm of a gradient may be from the exact one, as a share of it."""
    return 2e-3 if model.job.dtype == "fp32" else 5e-2


def _probe(model: LossModel, rows: list[Item]) -> MicroBatch:
    """The probe rows as the path in use lays them out; of shared prompts the first two are answers to one."""
    if model.shared:
        return pack_shared([rows[:2], *([row] for row in rows[2:])])
    return (pack if model.packed else pad_rows)(rows, model.pad)


def _norm(gradient: list[torch.Tensor]) -> float:
    """The norm of a gradient; NaN if there is none."""
    import torch

    return torch.stack([part.norm() for part in gradient]).norm().item() if gradient else math.nan
