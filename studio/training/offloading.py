"""What checkpointing keeps of each layer, its input, held in RAM between the forward and the backward pass.

The copies go over a stream of their own beside the computation: out while the layer computes, and back while the layer above
it is computed again. So two inputs are on the GPU at a time, not one of every layer, and nothing waits as long as a layer takes
longer to compute than its input to copy. The numbers are copied bit for bit.
"""

from __future__ import annotations

import contextlib
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from studio.hardware.memory import OFFLOADED

if TYPE_CHECKING:
    import torch


LEAVING = OFFLOADED - 1
"""Tensors that may be on their way to RAM at a time."""
SPARE = 2 << 30
"""Bytes of RAM that are left free: pinned memory cannot be swapped out."""


@dataclass(eq=False)
class _InRam:
    """A tensor in RAM, one of the inputs of a layer."""

    ram: torch.Tensor
    device: torch.device
    layer: _Layer
    copied: tuple[torch.Tensor, Any] | None = None
    """It again on the GPU, and the event after which it is whole there."""


@dataclass(eq=False)
class _Layer:
    """The inputs of one layer, and the layer below, whose inputs the backward pass wants next."""

    below: weakref.ref[_Layer] | None
    inputs: list[weakref.ref[_InRam]] = field(default_factory=list)
    called_back: bool = False


class LayerInputs:
    """The checkpoint function of layers whose inputs wait in RAM."""

    def __init__(self) -> None:
        import torch

        self.stream = torch.cuda.Stream()
        self.last: weakref.ref[_Layer] | None = None
        self.leaving: deque[tuple[torch.Tensor, Any]] = deque()
        """What is being copied to RAM, with the event after which it is there: held until then."""
        self.out = 0
        """Tensors that went to RAM."""

    def checkpoint(self, function: Callable[..., Any], *inputs: object) -> Any:
        """What `torch.utils.checkpoint.checkpoint` gives, with the tensors among `inputs` waiting in RAM."""
        from torch.autograd.graph import saved_tensors_hooks
        from torch.utils.checkpoint import checkpoint

        layer = _Layer(self.last)
        with saved_tensors_hooks(lambda value: self._out(value, layer), self._back):  # inside, checkpoint's own are in force
            output = checkpoint(function, *inputs, use_reentrant=False)
        self.last = weakref.ref(layer)
        return output

    def _out(self, value: torch.Tensor, layer: _Layer) -> _InRam | torch.Tensor:
        import torch

        ram = _pinned(value) if value.is_floating_point() else None
        if ram is None:
            return value
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            ram.copy_(value, non_blocking=True)
        self._let_go(LEAVING - 1)
        self.leaving.append((value.detach(), self.stream.record_event()))
        self.out += 1
        waiting = _InRam(ram, value.device, layer)
        layer.inputs.append(weakref.ref(waiting))
        return waiting

    def _let_go(self, most: int) -> None:
        """Give back the memory of all but the last `most` tensors that leave, in the order of the computation.

        Waiting for a copy on the stream that computes bounds how many are on the GPU at a time, however far the host is ahead;
        the copy of the layer before last is done by then.
        """
        import torch

        while len(self.leaving) > most:
            _, copied = self.leaving.popleft()
            torch.cuda.current_stream().wait_event(copied)

    def _back(self, waiting: _InRam | torch.Tensor) -> torch.Tensor:
        import torch

        if not isinstance(waiting, _InRam):
            return waiting
        self._let_go(0)
        self._call_back(waiting.layer)
        below = waiting.layer.below and waiting.layer.below()
        if below is not None:
            self._call_back(below)
        value, whole = waiting.copied or self._copy(waiting)  # the second where one graph is gone back through twice
        waiting.copied = None
        torch.cuda.current_stream().wait_event(whole)
        return value

    def _call_back(self, layer: _Layer) -> None:
        """Start to copy a layer's inputs to the GPU, once."""
        if not layer.called_back:
            layer.called_back = True
            for waiting in filter(None, (each() for each in layer.inputs)):
                waiting.copied = self._copy(waiting)

    def _copy(self, waiting: _InRam) -> tuple[torch.Tensor, Any]:
        import torch

        value = torch.empty(waiting.ram.shape, dtype=waiting.ram.dtype, device=waiting.device)
        self.stream.wait_stream(torch.cuda.current_stream())  # what was started before may still use that memory
        with torch.cuda.stream(self.stream):
            value.copy_(waiting.ram, non_blocking=True)
        return value, self.stream.record_event()


def _pinned(value: torch.Tensor) -> torch.Tensor | None:
    """Pinned RAM for a tensor; None where there is none to spare, and it stays where it is."""
    import psutil
    import torch

    if psutil.virtual_memory().available < SPARE:
        return None
    with contextlib.suppress(RuntimeError):  # the driver pins no more
        return torch.empty(value.shape, dtype=value.dtype, device="cpu", pin_memory=True)
    return None
