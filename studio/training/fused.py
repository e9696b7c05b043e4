"""Adapted layers as one autograd function. This module subclasses torch classes: import it late.

Plain LoRA is y = x W' + s (x A') B', a layer at a time: three products, an addition, and as many nodes in the graph, each
of which keeps what it needs. Layers that read the same x (queries, keys and values; gate and up) are computed here
together: one product of x with all their A, the second product added onto the output in place, and of the inputs only x
and the small x A' kept. W is frozen, so the backward pass, written out, has no product for it:

    dB = s dy' (x A')      du = s dy B      dA = du' x      dx = sum(dy W) + du A

A gated feed-forward is one function altogether: it keeps x, gate and up, and makes act(gate) * up again for the backward
pass (as Unsloth does), so that it keeps two tensors of the inner width instead of four. A 4-bit W is unpacked for each
pass and not kept; where gradient checkpointing computes a layer again, the W unpacked for that is used for the backward
pass that follows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch.autograd.function import once_differentiable

_aten = torch.ops.aten
ACTIVATIONS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "silu": (lambda x, out: _aten.silu.out(x, out=out), lambda d, x: _aten.silu_backward.grad_input(d, x, grad_input=d)),
    "gelu_tanh": (
        lambda x, out: _aten.gelu.out(x, approximate="tanh", out=out),
        lambda d, x: _aten.gelu_backward.grad_input(d, x, approximate="tanh", grad_input=d),
    ),
    "gelu": (
        lambda x, out: _aten.gelu.out(x, approximate="none", out=out),
        lambda d, x: _aten.gelu_backward.grad_input(d, x, approximate="none", grad_input=d),
    ),
}
"""Activations by name: the function, written to `out`, and its gradient, written over the incoming gradient."""


@dataclass
class Gate:
    """How a gated feed-forward is opened, act(gate) * up: the activation's name, and what computes it."""

    name: str
    kernels: ModuleType | None = None
    """`studio.training.kernels`, where it is computed by them."""

    def open(self, gate: torch.Tensor, up: torch.Tensor, opened: torch.Tensor, middle: torch.Tensor) -> None:
        """Write act(gate) * up to `middle`; `opened` is room for act(gate)."""
        if self.kernels is not None:
            self.kernels.gated(gate, up, self.name, middle)
        else:
            torch.mul(ACTIVATIONS[self.name][0](gate, opened), up, out=middle)

    def back(
        self, slope: torch.Tensor, gate: torch.Tensor, up: torch.Tensor, opened: torch.Tensor, middle: torch.Tensor
    ) -> None:
        """From the gradient of act(gate) * up, write that of gate over `opened` and that of up over `middle`, as `open` left
        them."""
        if self.kernels is not None:
            self.kernels.gated_back(slope, gate, up, self.name, (opened, middle))
        else:
            torch.mul(slope, opened, out=middle)
            ACTIVATIONS[self.name][1](torch.mul(slope, up, out=opened), gate)


@dataclass(eq=False)
class Member:
    """A PEFT LoRA layer and what is needed of it: its frozen linear layer, its active adapter, and its own forward."""

    layer: Any
    adapter: str
    own: Callable[..., Any]
    reuse: bool = True
    """Whether a 4-bit weight unpacked for a checkpoint's second forward is kept for the backward that follows."""
    unpacked: Any = None

    def __post_init__(self) -> None:
        self.base = self.layer.get_base_layer()
        self.down, self.up = self.layer.lora_A[self.adapter], self.layer.lora_B[self.adapter]
        self.scaling, self.rank = float(self.layer.scaling[self.adapter]), int(self.down.out_features)
        self.quantized = getattr(self.base.weight, "quant_state", None) is not None

    def usable(self, dtype: torch.dtype) -> bool:
        """Whether the layer computes what this module does, right now and in `dtype`."""
        layer = self.layer
        if layer.disable_adapters or layer.merged_adapters or layer.active_adapters != [self.adapter]:
            return False
        return self.quantized or self.base.weight.dtype == dtype

    def weight(self, dtype: torch.dtype) -> Any:
        """The frozen weight [outputs, inputs] in `dtype`; a 4-bit one is unpacked."""
        if not self.quantized:
            return self.base.weight
        return unpack(self.base.weight).to(dtype)


def unpack(weight: Any) -> Any:
    """A bitsandbytes 4-bit weight as [outputs, inputs] in the type it was quantised from. Only this function does it."""
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(weight.data.reshape(-1, 1), weight.quant_state)


def compute_dtype(x: torch.Tensor) -> torch.dtype:
    """The type that products with x are made in: autocast's, or x's own."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def weights_of(members: Sequence[Member]) -> list[Any]:
    """The trained weights of the members: every A, then every B."""
    return [member.down.weight for member in members] + [member.up.weight for member in members]


def _project(
    members: Sequence[Member], flat: torch.Tensor, adapters: Sequence[Any], keep: bool, rows: tuple[int, ...]
) -> tuple[list[Any], Any]:
    """The members' outputs [*rows, outputs] for flat [tokens, inputs], and flat times all A, [tokens, ranks]."""
    downs, ups = ([part.to(flat.dtype) for part in half] for half in (adapters[: len(members)], adapters[len(members) :]))
    inner = flat @ (torch.cat(downs) if len(downs) > 1 else downs[0]).t()
    outputs = []
    for member, up, part in zip(members, ups, inner.split([member.rank for member in members], 1), strict=True):
        weight, bias = member.weight(flat.dtype), member.base.bias
        output = flat.new_empty(*rows, len(weight))  # not a view of something flat, or a model may not write to it
        plane = output.view(-1, len(weight))
        if bias is None:
            torch.mm(flat, weight.t(), out=plane)
        else:
            torch.addmm(bias.to(flat.dtype), flat, weight.t(), out=plane)
        plane.addmm_(part, up.t(), alpha=member.scaling)
        outputs.append(output)
        if keep and member.quantized and member.reuse and _computing_again():
            member.unpacked = weight
    return outputs, inner


def _project_back(
    members: Sequence[Member], flat: torch.Tensor, inner: Any, adapters: Sequence[Any], slopes: Sequence[Any], wanted: bool
) -> tuple[Any, list[Any]]:
    """From the gradients of the outputs (None: not used): that of flat (None unless wanted), and those of the adapters."""
    downs, ups = adapters[: len(members)], adapters[len(members) :]
    ranks = [member.rank for member in members]
    inner_slope, up_slopes, slope = torch.empty_like(inner), [], None
    for member, up, part, part_slope, output_slope in zip(
        members, ups, inner.split(ranks, 1), inner_slope.split(ranks, 1), slopes, strict=True
    ):
        weight, member.unpacked = member.unpacked, None
        if output_slope is None:
            part_slope.zero_()
            up_slopes.append(torch.zeros_like(up))
            continue
        part_slope.copy_(output_slope @ up.to(flat.dtype)).mul_(member.scaling)
        up_slopes.append((part.t() @ output_slope).mul_(member.scaling).t().to(up.dtype))  # this way round it is twice as fast
        if wanted:
            weight = member.weight(flat.dtype) if weight is None else weight
            slope = output_slope @ weight if slope is None else slope.addmm_(output_slope, weight)
    down_slopes = [part.to(down.dtype) for part, down in zip((inner_slope.t() @ flat).split(ranks), downs, strict=True)]
    if wanted:
        down = torch.cat([part.to(flat.dtype) for part in downs]) if len(downs) > 1 else downs[0].to(flat.dtype)
        slope = inner_slope @ down if slope is None else slope.addmm_(inner_slope, down)
    return slope, [*down_slopes, *up_slopes]


def _computing_again() -> bool:
    """Whether a backward pass is running: then a forward pass is a checkpoint's second one."""
    return torch._C._current_graph_task_id() != -1


def _plain(x: torch.Tensor) -> Any:
    """Inside, types are chosen by hand."""
    return torch.autocast(x.device.type, enabled=False)


class _Layers(torch.autograd.Function):
    """Adapted linear layers that share an input: x, the members, all A, all B -> an output for each member."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, members: Sequence[Member], dtype: torch.dtype, *adapters: torch.Tensor) -> Any:
        with _plain(x):
            flat = x.reshape(-1, x.shape[-1]).to(dtype)
            outputs, inner = _project(members, flat, adapters, ctx.needs_input_grad[0], x.shape[:-1])
        ctx.members, ctx.shape, ctx.dtype = members, x.shape, x.dtype
        ctx.save_for_backward(flat, inner, *adapters)
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        flat, inner, *adapters = ctx.saved_tensors
        with _plain(flat):
            output_slopes = [None if slope is None else slope.reshape(-1, slope.shape[-1]).to(flat.dtype) for slope in slopes]
            slope, trained = _project_back(ctx.members, flat, inner, adapters, output_slopes, ctx.needs_input_grad[0])
        return None if slope is None else slope.view(ctx.shape).to(ctx.dtype), None, None, *trained


class _Gated(torch.autograd.Function):
    """A gated feed-forward of adapted layers: down(act(gate(x)) * up(x)), gate and up one layer or two."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, first: Sequence[Member], last: Member, act: Gate, dtype: torch.dtype, *adapters: torch.Tensor
    ) -> Any:
        needed, count = ctx.needs_input_grad[0], 2 * len(first)
        with _plain(x):
            flat = x.reshape(-1, x.shape[-1]).to(dtype)
            outputs, inner = _project(first, flat, adapters[:count], needed, flat.shape[:1])
            gate, up = _halves(outputs)
            middle = flat.new_empty(up.shape)
            act.open(gate, up, middle, middle)
            (output,), last_inner = _project([last], middle, adapters[count:], True, x.shape[:-1])
        ctx.first, ctx.last, ctx.act, ctx.shape, ctx.dtype = first, last, act, x.shape, x.dtype
        ctx.save_for_backward(flat, inner, last_inner, *adapters, *outputs)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        first, last, count = ctx.first, ctx.last, 2 * len(ctx.first)
        flat, inner, last_inner, *rest = ctx.saved_tensors
        adapters, outputs = rest[: count + 2], rest[count + 2 :]
        (output_slope,) = slopes
        with _plain(flat):
            gate, up = _halves(outputs)
            output_slope = output_slope.reshape(-1, output_slope.shape[-1]).to(flat.dtype)
            parts = [torch.empty_like(output) for output in outputs]
            opened, middle = _halves(parts)
            ctx.act.open(gate, up, opened, middle)
            slope, last_trained = _project_back([last], middle, last_inner, adapters[count:], [output_slope], True)
            ctx.act.back(slope, gate, up, opened, middle)
            slope, trained = _project_back(first, flat, inner, adapters[:count], parts, ctx.needs_input_grad[0])
        slope = None if slope is None else slope.view(ctx.shape).to(ctx.dtype)
        return slope, None, None, None, None, *trained, *last_trained


def _halves(outputs: Sequence[Any]) -> Sequence[Any]:
    """Gate and up: two outputs, or the halves of one."""
    return outputs if len(outputs) == 2 else outputs[0].chunk(2, -1)


class Layers:
    """Adapted layers with the same input tensor, as their modules' forward: the first call computes all of them.

    A call with another tensor computes anew. If outputs were left over then, the layers do not share their input after
    all, and each is computed alone from there on.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = list(members)
        self.waiting: dict[int, Any] = {}
        self.x: Any = None
        self.learning = False
        self.together = True

    def call(self, index: int, x: torch.Tensor, *more: object, **named: object) -> Any:
        """The output of layer `index` for x."""
        member = self.members[index]
        dtype = compute_dtype(x)
        if more or named or not all(each.usable(dtype) for each in self.members):
            return member.own(x, *more, **named)
        if self.x is x and index in self.waiting and self.learning == torch.is_grad_enabled():
            output = self.waiting.pop(index)
            if not self.waiting:
                self.x = None
            return output
        if self.waiting:
            self.forget()
            self.together = False
        if not self.together or len(self.members) == 1:
            return _Layers.apply(x, [member], dtype, *weights_of([member]))[0]
        outputs = _Layers.apply(x, self.members, dtype, *weights_of(self.members))
        self.x, self.learning = x, torch.is_grad_enabled()
        self.waiting = {other: output for other, output in enumerate(outputs) if other != index}
        return outputs[index]

    def forget(self) -> None:
        """Let go of tensors."""
        self.x, self.waiting = None, {}
        for member in self.members:
            member.unpacked = None


class Gated:
    """A gated feed-forward, as its module's forward."""

    def __init__(self, first: Sequence[Member], last: Member, act: str, own: Callable[..., Any]) -> None:
        self.first, self.last, self.act, self.own = list(first), last, Gate(act), own

    def call(self, x: torch.Tensor, *more: object, **named: object) -> Any:
        """What the feed-forward gives for x."""
        dtype, members = compute_dtype(x), [*self.first, self.last]
        if more or named or not all(member.usable(dtype) for member in members):
            return self.own(x, *more, **named)
        return _Gated.apply(x, self.first, self.last, self.act, dtype, *weights_of(self.first), *weights_of([self.last]))

    def forget(self) -> None:
        """Let go of tensors."""
        for member in (*self.first, self.last):
            member.unpacked = None
