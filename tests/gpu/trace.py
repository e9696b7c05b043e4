"""Kernels, bytes moved and peak memory of a full-size training step, on tensors without data.

`trace(config, ...)` runs our own training step at real widths with a few layers: what one layer adds is exact, for layers are
alike. Fake tensors are the CPU's, so the chunk of logits is set to that of a GPU, and attention is the GPU's varlen kernel.
"""

from __future__ import annotations

import contextlib
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from studio.hardware import memory
from studio.models import libraries

UNCOUNTED = ("prim.", "empty", "detach")
"""Operations that are no kernel."""


@dataclass
class Traced:
    """One step. Bytes of what lives: before it, and at most; kernels by phase (`forward`, `head`, `backward`)."""

    before: int = 0
    peak: int = 0
    kernels: Counter[str] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)
    """Bytes read and written, by phase."""

    @property
    def total(self) -> int:
        """Bytes read and written altogether."""
        return sum(self.moved.values())


class _Watch(TorchDispatchMode):
    """Counts kernels and the bytes of every storage that lives."""

    def __init__(self) -> None:
        super().__init__()
        self.found = Traced()
        self.live = 0
        self.phase = ""
        self.storages: dict[int, int] = {}
        self.in_ram = False
        """Whether what is made is in RAM."""

    def hold(self, tensor: Any) -> None:
        if self.in_ram:
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.storages:
            self.storages[key] = storage.nbytes()
            self.live += storage.nbytes()
            self.found.peak = max(self.found.peak, self.live)
            weakref.finalize(storage, self.drop, key)

    def drop(self, key: int) -> None:
        self.live -= self.storages.pop(key, 0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tensors(result):
            self.hold(tensor)
        name = str(func)
        if not getattr(func, "is_view", False) and not any(part in name for part in UNCOUNTED):
            self.found.kernels[self.phase] += 1
            every = {id(each): each for each in tensors((args, kwargs, result))}
            self.found.moved[self.phase] += sum(each.numel() * each.element_size() for each in every.values())
        return result


def tensors(values: Any) -> list[Any]:
    """All tensors in nested values."""
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]


def trace(
    config: Any, tokens: int, rows: int, every: int, offload: bool = False, kernels: bool = False, rank: int = 16
) -> Traced:
    """One training step of a model of this config: `rows` packed rows of `tokens` together, LoRA on every layer.

    every: how many layers one is computed again of; 0: none. offload: their inputs wait in RAM.
    kernels: norms, gates and the loss of a chunk are one kernel each.
    """
    libraries.import_heavy()
    from studio.training import adapters, attention, fusing, head, norms, offloading, recomputing, rotary
    from studio.training.settings import ResolvedAdapter

    watch = _Watch()
    with contextlib.ExitStack() as stack:
        for context in (_without_data(), _beside(watch), FakeTensorMode(allow_non_fake_inputs=True)):
            stack.enter_context(context)
        base = _model(config)
        model = adapters.attach(base, ResolvedAdapter(rank=rank, alpha=2 * rank), 0)
        attention.register()
        base.set_attn_implementation("studio_varlen")
        length = tokens // rows
        inputs = {
            "input_ids": torch.zeros(1, tokens, dtype=torch.long),
            "position_ids": torch.zeros(1, tokens, dtype=torch.long),
            "cu_seq_lens_q": torch.zeros(rows + 1, dtype=torch.int32),
            "cu_seq_lens_k": torch.zeros(rows + 1, dtype=torch.int32),
            "max_length_q": length,
            "max_length_k": length,
            "row_lengths": (length,) * rows,
            "use_cache": False,
        }
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), fusing.watching(model) as layers:
            base.base_model(**inputs)
        fusion = fusing.fuse(model, layers)
        if kernels:
            norms.fuse(base)
            stack.callback(rotary.fuse(base, _Kernels(watch)).undo)  # pyright: ignore[reportArgumentType]
            stack.enter_context(mock.patch.object(torch.ops.aten, "_fused_rms_norm", _Kernels(watch).norm))
            for gated in fusion.gated:
                gated.act.kernels = _Kernels(watch)
        if every:
            recomputing.enable(base, every)
            if offload:
                recomputing.use(base, offloading.LayerInputs().checkpoint)
        model.train()
        transform = head.logit_transform(base.config)
        scored, targets = torch.zeros(tokens, dtype=torch.long), torch.zeros(tokens, dtype=torch.long)
        for weights in base.parameters():
            if weights.requires_grad:
                weights.grad = torch.zeros_like(weights)  # as after an earlier micro-batch of the step
        with watch:
            for weights in [*base.parameters(), *base.buffers()]:
                for part in _parts(weights):
                    watch.hold(part)
            watch.found.before = watch.live
            watch.phase = "forward"
            with torch.autocast("cpu", torch.bfloat16):
                hidden = base.base_model(**inputs).last_hidden_state.reshape(tokens, -1)
                watch.phase = "head"
                picked = hidden.index_select(0, scored)
                loss = head.token_losses(
                    picked, base.get_output_embeddings(), targets, transform, _Kernels(watch).losses if kernels else None
                )
                loss = loss.sum() / tokens
            del hidden, picked
            watch.phase = "backward"
            loss.backward()
        return watch.found


class _Kernels:
    """Triton's kernels: each counts as one, and reads and writes what it is given."""

    def __init__(self, watch: _Watch) -> None:
        self.watch = watch

    def one(self, *values: Any) -> None:
        self.watch.found.kernels[self.watch.phase] += 1
        self.watch.found.moved[self.watch.phase] += sum(each.numel() * each.element_size() for each in values)

    def losses(self, logits: Any, targets: Any, transform: object, wanted: bool) -> Any:
        self.one(logits, logits, logits)  # read twice, written once
        return torch.empty(len(logits), dtype=torch.float32)

    def norm(self, x: Any, shape: object, weight: Any, epsilon: float) -> tuple[Any]:
        return (_Norm.apply(x, self),)

    def rotated(self, x: Any, cos: Any, sin: Any, back: bool) -> Any:
        out = torch.empty_like(x)
        self.one(x, cos, sin, out)
        return out

    def gated(self, gate: Any, up: Any, act: str, out: Any) -> None:
        self.one(gate, up, out)

    def gated_back(self, slope: Any, gate: Any, up: Any, act: str, outs: Any) -> None:
        self.one(slope, gate, up, *outs)


class _Norm(torch.autograd.Function):
    """What torch's kernel for norms reads, writes and keeps: its input and a root a row."""

    @staticmethod
    def forward(ctx: Any, x: Any, kernels: _Kernels) -> Any:
        out, ctx.kernels = torch.empty_like(x), kernels
        kernels.one(x, out)
        ctx.save_for_backward(x, torch.empty(x.shape[:-1], dtype=torch.float32))
        return out

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        x, _ = ctx.saved_tensors
        ctx.kernels.one(slopes[0], x, x)
        return torch.empty_like(x), None


def _parts(weights: Any) -> list[Any]:
    """A weight's storages: the packed numbers, and the scales of a 4-bit one."""
    state = getattr(weights, "quant_state", None)
    found = [weights.data] if weights.grad is None else [weights.data, weights.grad]
    return found if state is None else [*found, state.absmax, state.state2.absmax]


@contextlib.contextmanager
def _without_data() -> Iterator[None]:
    """What looks at numbers, or moves tensors, is answered for it."""
    from bitsandbytes import functional
    from peft.tuners import tuners_utils

    from studio.training import fusing, norms, rotary

    # its tables are made once, of real numbers
    functional.quantize_4bit(torch.randn(64, 64), compress_statistics=True, quant_type="nf4")
    with (
        mock.patch.object(tuners_utils.BaseTunerLayer, "_move_adapter_to_device_of_base_layer", lambda *_, **__: None),
        mock.patch.object(torch.nn.Module, "to", lambda module, *_, **__: module),
        mock.patch.object(fusing, "_same", lambda gated, module: True),
        mock.patch.object(fusing, "_kind", lambda act: "silu"),
        mock.patch.object(norms, "_gives_the_formula", lambda module, epsilon: True),
        mock.patch.object(rotary, "_gives_the_formula", lambda own: True),
        mock.patch.dict(memory.LOGITS_PER_CHUNK, cpu=memory.LOGITS_PER_CHUNK["cuda"]),
    ):
        yield


@contextlib.contextmanager
def _beside(watch: _Watch) -> Iterator[None]:
    """Streams that do nothing; what is made on one beside the computation is in RAM."""

    @contextlib.contextmanager
    def stream(_: Any) -> Iterator[None]:
        watch.in_ram = True
        try:
            yield
        finally:
            watch.in_ram = False

    empty = torch.empty

    def made(*size: Any, pin_memory: bool = False, **named: Any) -> Any:
        with stream(None) if pin_memory else contextlib.nullcontext():
            return empty(*size, **named)

    with (
        mock.patch.object(torch.cuda, "Stream", mock.MagicMock),
        mock.patch.object(torch.cuda, "current_stream", mock.MagicMock()),
        mock.patch.object(torch.cuda, "stream", stream),
        mock.patch.object(torch, "empty", made),
    ):
        yield


def _model(config: Any) -> Any:
    """The model in 16 bit, its linear layers in nf4."""
    from transformers import AutoModelForCausalLM

    config.use_cache = False
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
    for module in list(model.modules()):
        for name, linear in list(module.named_children()):
            if type(linear) is torch.nn.Linear and name != "lm_head":
                setattr(module, name, _in_4_bit(linear))
    model.is_loaded_in_4bit = True
    return model.eval()


def _in_4_bit(linear: Any) -> Any:
    """A linear layer as bitsandbytes holds it on a GPU; its own constructor wants numbers."""
    from bitsandbytes import functional
    from bitsandbytes.nn.modules import Linear4bit

    packed, state = functional.quantize_4bit(linear.weight.data, compress_statistics=True, quant_type="nf4")
    found: Any = object.__new__(Linear4bit)
    torch.nn.Module.__init__(found)
    weight: Any = torch.nn.Parameter(packed, requires_grad=False)
    weight.quant_state, weight.compress_statistics, weight.quant_type = state, True, "nf4"
    found.weight = weight
    found.in_features, found.out_features = linear.in_features, linear.out_features
    found.compute_dtype, found.compute_type_is_set = torch.bfloat16, True
    found.quant_state, found.quant_storage = state, torch.uint8
    found.bias = None if linear.bias is None else torch.nn.Parameter(linear.bias.data, requires_grad=False)
    found.support_avx512bf16_for_cpu = False
    return found
