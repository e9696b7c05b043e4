"""Which layers are computed together, and the seam by which they are: `watch` a forward pass, `fuse`, later `Fusion.undo`.

Names decide nothing: layers belong together if they have the same parent and are given the very same tensor, and a
feed-forward is a gated one if it gives what a gated one gives. Model files, PEFT's layers and their weights stay as they
are; only the `forward` of single modules is replaced, and put back after training.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

GATES = (("gate_proj", "up_proj"), ("gate_up_proj",), ("w1", "w3"))
"""The first layers of a gated feed-forward: gate and up, or both in one."""
LASTS = ("down_proj", "w2")
ACTIVATIONS = ("act_fn", "activation_fn", "act")


@dataclass
class Fusion:
    """What was fused, and why some layers were not: `undo` puts every module's own forward back."""

    groups: list[Any] = field(default_factory=list)
    gated: list[Any] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    """Reasons, and for how many layers."""
    modules: list[Any] = field(default_factory=list)

    def undo(self) -> None:
        """Every module's own forward again, and no tensor held."""
        for module in self.modules:
            module.__dict__.pop("forward", None)
        for part in (*self.groups, *self.gated):
            part.forget()
        self.modules.clear()

    def put(self, module: nn.Module, forward: Callable[..., object]) -> None:
        """Replace a module's forward."""
        module.forward = forward
        self.modules.append(module)


@contextlib.contextmanager
def watching(model: nn.Module) -> Iterator[list[list[Any]]]:
    """Inside, run one forward pass; afterwards the list holds the adapted layers, those given one tensor side by side."""
    groups: list[list[Any]] = []
    calls: list[tuple[str, Any, Any]] = []
    handles = [module.register_forward_pre_hook(_noting(calls, name.rpartition(".")[0])) for name, module in adapted(model)]
    try:
        yield groups
    finally:
        for handle in handles:
            handle.remove()
    inputs: dict[tuple[str, int], list[Any]] = {}
    for parent, given, module in calls:  # the calls hold the tensors, so that none takes another's place in memory
        group = inputs.setdefault((parent, id(given)), [])
        if not any(module is other for other in group):
            group.append(module)
    seen: set[int] = set()
    for group in inputs.values():
        groups.append([module for module in group if id(module) not in seen])
        seen.update(map(id, group))


def _noting(calls: list[tuple[str, Any, Any]], parent: str) -> Any:
    return lambda module, inputs: calls.append((parent, inputs[0], module)) if inputs else None


def adapted(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """The layers of a PEFT model that carry an adapter, with their names."""
    from peft.tuners.lora import LoraLayer

    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module


def why_not(layer: Any) -> str:
    """Why an adapted layer cannot be fused; empty if it can."""
    import torch
    from peft.tuners.lora import Linear

    if len(layer.active_adapters) != 1 or len(getattr(layer, "lora_A", ())) != 1:
        return "it has several adapters"
    name = layer.active_adapters[0]
    if layer.use_dora.get(name):
        return "DoRA rescales whole weights"
    if layer.lora_variant or layer.lora_bias.get(name) or getattr(layer, "fan_in_fan_out", False):
        return "an unusual kind of LoRA"
    if not isinstance(layer.lora_dropout[name], torch.nn.Identity):
        return "dropout gives each adapter an input of its own"
    base = layer.get_base_layer()
    if any(weight.requires_grad for weight in base.parameters()):
        return "its base is trained too"
    if type(layer) is Linear and type(base) is torch.nn.Linear:
        return ""
    if type(base).__name__ == "Linear4bit" and getattr(base.weight, "quant_state", None) is not None:
        return ""
    return f"its base is a {type(base).__name__}"


def fuse(model: nn.Module, watched: list[list[Any]], feed_forward: bool = True, reuse: bool = True) -> Fusion:
    """Compute the layers of each watched group together, and gated feed-forwards as one function if asked.

    reuse: a 4-bit weight that a checkpoint's second forward pass unpacked serves the backward pass too.
    """
    from studio.training.fused import Layers, Member

    fusion, members = Fusion(), {}
    with contextlib.ExitStack() as undo:
        undo.callback(fusion.undo)  # the base must not keep half of it if this ends early
        for group in watched:
            fit = []
            for layer in group:
                if reason := why_not(layer):
                    fusion.refused[reason] = fusion.refused.get(reason, 0) + 1
                else:
                    members[id(layer)] = Member(layer, layer.active_adapters[0], layer.forward, reuse)
                    fit.append(members[id(layer)])
            if fit:
                layers = Layers(fit)
                fusion.groups.append(layers)
                for index, member in enumerate(fit):
                    fusion.put(member.layer, _at(layers, index))
        if feed_forward:
            for module in model.modules():
                _fuse_gated(fusion, module, members)
        undo.pop_all()
    return fusion


def _at(layers: Any, index: int) -> Any:
    return lambda x, *more, **named: layers.call(index, x, *more, **named)


def _fuse_gated(fusion: Fusion, module: nn.Module, members: dict[int, Any]) -> None:
    from studio.training.fused import Gated

    names = next((names for names in GATES if all(hasattr(module, name) for name in names)), ())
    last = next((getattr(module, name) for name in LASTS if hasattr(module, name)), None)
    act = next((getattr(module, name) for name in ACTIVATIONS if hasattr(module, name)), None)
    first = [members[id(layer)] for name in names if id(layer := getattr(module, name)) in members]
    if not first or len(first) < len(names) or id(last) not in members or "forward" in module.__dict__:
        return
    kind = "" if act is None else _kind(act)
    if not kind or _drops(module):
        return
    gated = Gated(first, members[id(last)], kind, module.forward)
    if _same(gated, module):
        fusion.gated.append(gated)
        fusion.put(module, gated.call)


def _kind(act: Callable[..., torch.Tensor]) -> str:
    """Which of the known gates a module computes, decided by its output; empty if none."""
    import torch

    from studio.training.fused import ACTIVATIONS as known

    x = torch.cat([torch.linspace(-6, 6, 97), torch.tensor([-100.0, -12.0, 12.0, 100.0])])  # some clip far out
    with contextlib.suppress(Exception), torch.no_grad():
        given = act(x)
        return next((name for name, (function, _) in known.items() if torch.equal(function(x, torch.empty_like(x)), given)), "")
    return ""


def _drops(module: nn.Module) -> bool:
    """Whether it drops values while training, which a look in evaluation mode does not see."""
    import torch

    return any(isinstance(part, torch.nn.modules.dropout._DropoutNd) and part.p for part in module.modules())


def _same(gated: Any, module: nn.Module) -> bool:
    """Whether a feed-forward gives what the function would, also far out: some multiply or clip on the way."""
    import torch

    first = gated.first[0]
    weight = first.down.weight
    dtype = first.base.compute_dtype if first.quantized else first.base.weight.dtype
    x = torch.linspace(-2, 2, 3 * first.base.in_features, device=weight.device).sin().view(1, 3, -1)
    with contextlib.suppress(RuntimeError, TypeError, ValueError), torch.no_grad():
        wide = (
            torch.autocast(weight.device.type, dtype) if dtype in (torch.bfloat16, torch.float16) else contextlib.nullcontext()
        )
        with wide:
            return all(_near(module(far.to(dtype)), gated.call(far.to(dtype))) for far in (x, 256 * x))
    return False


def _near(expected: torch.Tensor, actual: torch.Tensor) -> bool:
    expected, actual = expected.float(), actual.float()
    finite = expected.isfinite()  # far out, 16 bit may not hold it
    expected, actual = expected[finite], actual[finite]
    return not len(expected) or bool((expected - actual).abs().max() <= 0.02 * expected.abs().max())
