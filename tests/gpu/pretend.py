"""A pretend GPU: the CUDA branches of the studio on a machine without one.

`cuda` is the CPU, flash attention is its formula and its refusals, memory is a number, and every wait of the host for the
device is counted. A copy on a stream beside the computation is made as late as it may be (`streams`). It shows names,
signatures, control flow, rules about number formats, waits of the host, and reads of what was not copied yet; it cannot show
the limits and roundings of real kernels, other races, the allocator or speed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode

from studio.models import libraries
from tests.gpu import streams

os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton: there is no GPU to compile its kernels for

READS = frozenset(
    {"item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "nonzero", "argwhere", "masked_select"}
)
"""Operations of a tensor that make the host wait for the device."""
WAITS = frozenset({*READS, "synchronize"})


PRODUCTS = frozenset({"matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "linear", "addmm", "baddbmm", "addmm_", "baddbmm_"})
SIXTEEN_BIT = (torch.bfloat16, torch.float16)


def on_cpu(value: Any) -> Any:
    """A device that is called cuda, as it is called here; everything else as it is."""
    if isinstance(value, str) and value.partition(":")[0] == "cuda":
        return "cpu"
    if isinstance(value, torch.device) and value.type == "cuda":
        return torch.device("cpu")
    return value


class _OnCpu(TorchFunctionMode):
    """Every torch call without its CUDA device, with the host's reads counted."""

    def __init__(self, seen: Counter[str]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in READS:
            self.seen[name] += 1
        kwargs = kwargs or {}
        if func is torch.device:
            return func(*args, **kwargs)
        args = tuple(map(on_cpu, args))
        kwargs = {key: on_cpu(value) for key, value in kwargs.items() if key != "pin_memory"}
        if name in PRODUCTS and "out" not in kwargs and any(_is_sixteen_bit(value) for value in args):
            return _product(func, name, args, kwargs)
        return func(*args, **kwargs)


def _is_sixteen_bit(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype in SIXTEEN_BIT


def _product(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A product of 16-bit matrices as a GPU makes it: summed in float32, then rounded.

    A processor without instructions for 16-bit products makes them one number at a time, a hundred times as slowly.
    """
    dtype = next(value.dtype for value in args if _is_sixteen_bit(value))
    widened = [value.float() if _is_sixteen_bit(value) else value for value in args]
    named = {key: value.float() if _is_sixteen_bit(value) else value for key, value in kwargs.items()}
    result = func(*widened, **named).to(dtype)
    return args[0].copy_(result) if name.endswith("_") and not name.endswith("__") else result


@contextlib.contextmanager
def pretend_gpu(total: int = 24 << 30, capability: tuple[int, int] = (8, 9), count: int = 1) -> Iterator[Counter[str]]:
    """Inside, torch has `count` GPUs of `total` bytes. Yields how often the host waited for the device, by operation."""
    seen: Counter[str] = Counter()
    generator = torch.get_rng_state()

    def counted(name: str) -> Callable[..., None]:
        return lambda *_, **__: seen.update([name])

    answers: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: count,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "get_device_capability": lambda device=None: capability,
        "get_device_name": lambda device=None: "a pretend GPU",
        "is_bf16_supported": lambda *_, **__: capability >= (8, 0),
        "mem_get_info": lambda device=None: (total, total),
        "memory_reserved": lambda device=None: 0,
        "memory_allocated": lambda device=None: 0,
        "max_memory_reserved": lambda device=None: 1 << 20,
        "max_memory_allocated": lambda device=None: 1 << 20,
        "reset_peak_memory_stats": lambda device=None: None,
        "get_rng_state_all": lambda: [generator] * count,
        "get_rng_state": lambda device=None: generator,
        "set_rng_state": lambda state, device=None: _exists(device, count),
        "set_rng_state_all": lambda states: [_exists(device, count) for device in range(len(states))],
        "manual_seed_all": lambda seed: None,
        "empty_cache": counted("empty_cache"),
        "synchronize": counted("synchronize"),
        "Stream": streams.Stream,
        "stream": streams.using,
        "current_stream": streams.current,
    }
    libraries.import_heavy()
    import bitsandbytes.optim.optimizer as optimizers  # it looks for GPUs when it is imported: its kernels stay the CPU's

    own_autocast, own_run = torch.autocast, threading.Thread.run

    class Autocast(own_autocast):
        def __init__(self, device_type: str, *more: Any, **named: Any) -> None:
            super().__init__(on_cpu(device_type), *more, **named)

    def run(thread: threading.Thread) -> None:  # modes belong to threads
        with _OnCpu(seen):
            own_run(thread)

    with contextlib.ExitStack() as stack:

        def put(owner: Any, name: str, value: Any) -> None:
            stack.enter_context(mock.patch.object(owner, name, value))

        for name, answer in answers.items():
            put(torch.cuda, name, answer)
        put(torch, "autocast", Autocast)
        put(torch.Tensor, "pin_memory", lambda tensor, *_: tensor)
        put(torch.accelerator, "empty_host_cache", lambda: None)
        put(torch.Tensor, "copy_", streams.copying(torch.Tensor.copy_))
        put(optimizers, "sync_gpu", counted("synchronize"))
        put(threading.Thread, "run", run)
        _register_attention()
        with _OnCpu(seen):
            yield seen


def _exists(device: Any, count: int) -> None:
    """What CUDA says of a generator of a GPU that is not there."""
    if isinstance(device, int) and device >= count:
        raise IndexError("tuple index out of range")


def _register_attention() -> None:
    """torch's variable-length attention has a kernel for GPUs alone: on the CPU the plain formula, and its gradient."""
    import torch.nn.attention.varlen

    with contextlib.suppress(RuntimeError):  # registered by an earlier test
        torch.library.register_kernel("torch_attn::_varlen_attn", "cpu", _varlen)
        torch.library.register_kernel("torch_attn::_varlen_attn_backward", "cpu", _varlen_backward)


def _row(q: Any, k: Any, v: Any, scale: float | None, window: Any) -> tuple[Any, Any, Any, Any]:
    """One row's queries, keys and values for each query head, and its weights [heads, tokens, tokens], in 32 bit."""
    q, k, v = (part.transpose(0, 1).float() for part in (q, k, v))
    k, v = (part.repeat_interleave(len(q) // len(k), 0) for part in (k, v))
    back = torch.arange(q.shape[1])[:, None] - torch.arange(q.shape[1])
    hidden = back < 0 if window[1] == 0 else torch.zeros_like(back, dtype=torch.bool)
    if window[0] >= 0:
        hidden = hidden | (back > window[0])
    scores = q @ k.mT * (scale or q.shape[-1] ** -0.5)
    return q, k, v, scores.masked_fill(hidden, float("-inf")).softmax(-1)


def _varlen(
    q: Any, k: Any, v: Any, ends: Any, _: Any, longest: int, __: int, causal: bool = False, scale: Any = None,
    window: Any = None, *more: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    if torch.cuda.get_device_capability() < (8, 0):
        raise RuntimeError("FlashAttention only supports Ampere GPUs or newer.")
    if q.dtype not in (torch.bfloat16, torch.float16):
        raise RuntimeError("FlashAttention only support fp16 and bf16 data type")
    if q.shape[-1] > 256 or q.shape[-1] % 8 or ends.dtype != torch.int32 or q.stride(-1) != 1:
        raise RuntimeError("FlashAttention refuses these tensors")
    edges, out = ends.tolist(), torch.empty_like(q)
    for start, end in itertools.pairwise(edges):
        *_, values, weights = _row(q[start:end], k[start:end], v[start:end], scale, window)
        out[start:end] = (weights @ values).transpose(0, 1).to(q.dtype)
    return out, q.new_zeros(q.shape[1], len(q), dtype=torch.float32), torch.zeros(2, dtype=torch.uint64)


def _varlen_backward(
    gradient: Any, q: Any, k: Any, v: Any, out: Any, lse: Any, ends: Any, _: Any, longest: int, __: int, causal: bool,
    random: Any, scale: Any = None, window: Any = None,
) -> tuple[Any, ...]:  # fmt: skip
    edges, found = ends.tolist(), [torch.empty_like(part) for part in (q, k, v)]
    for start, end in itertools.pairwise(edges):
        queries, keys, values, weights = _row(q[start:end], k[start:end], v[start:end], scale, window)
        outer = gradient[start:end].transpose(0, 1).float()
        inner = outer @ values.mT
        scores = weights * (inner - (inner * weights).sum(-1, keepdim=True)) * (scale or q.shape[-1] ** -0.5)
        for part, grad in zip(found, (scores @ keys, scores.mT @ queries, weights.mT @ outer), strict=True):
            part[start:end] = grad.unflatten(0, (part.shape[1], -1)).sum(1).transpose(0, 1).to(part.dtype)
    return tuple(found)
