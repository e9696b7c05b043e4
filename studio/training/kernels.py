"""Triton kernels for a GPU, each of which does at once what torch does in several passes over the same numbers.

They compute in 32 bit and round where torch rounds, so that the numbers are torch's but for the last digit of an exponential.
What they replace stays in `head` and `fused`, and is used wherever there is no Triton. Import this module late.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import triton
import triton.language as tl

if TYPE_CHECKING:
    from studio.training.head import LogitTransform

ACTIVATIONS = {"silu": 0, "gelu_tanh": 1}
"""Gates that there is a kernel for."""
BLOCK = 1024
"""Numbers that one program of the gate works on."""
WORDS = 4096
"""Logits that a program of the loss looks at together; it goes over its row in such pieces."""


def _started(kernel: triton.JITFunction[Any], grid: tuple[int, ...]) -> Any:
    """A kernel with its grid of programs, to be called with what they work on."""
    return kernel[grid]


@triton.jit
def _tanh(value):
    return 2 * tl.sigmoid(2 * tl.clamp(value, -15.0, 15.0, propagate_nan=tl.PropagateNan.ALL)) - 1  # beyond, it is one


@triton.jit
def _loss(logits, targets, losses, words, stride, scale, cap, CAPPED: tl.constexpr, WANTED: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    logits += row * stride
    target = tl.load(targets + row)
    wanted = tl.load(logits + target).to(tl.float32) * scale  # long before other warps write there: reductions lie between
    highest = float("-inf")
    total = 0.0
    for start in range(0, words, BLOCK):
        place = start + tl.arange(0, BLOCK)
        value = tl.load(logits + place, mask=place < words, other=float("-inf")).to(tl.float32) * scale
        if CAPPED:
            value = tl.where(place < words, cap * _tanh(value / cap), float("-inf"))
        most = tl.maximum(highest, tl.max(value, 0))
        total = total * tl.exp(highest - most) + tl.sum(tl.exp(value - most), 0)
        highest = most
    log_all = highest + tl.log(total)
    if CAPPED:
        wanted = cap * _tanh(wanted / cap)
    tl.store(losses + row, log_all - wanted)
    if WANTED:
        for start in range(0, words, BLOCK):
            place = start + tl.arange(0, BLOCK)
            value = tl.load(logits + place, mask=place < words, other=0.0).to(tl.float32) * scale
            slope = 1.0
            if CAPPED:
                bent = _tanh(value / cap)
                value = cap * bent
                slope = 1 - bent * bent
            excess = (tl.exp(value - log_all) - tl.where(place == target, 1.0, 0.0)) * slope
            tl.store(logits + place, excess.to(logits.dtype.element_ty), mask=place < words)


def losses(logits: torch.Tensor, targets: torch.Tensor, transform: LogitTransform, wanted: bool) -> torch.Tensor:
    """-log p(target) of each row of logits [rows, words], which are the head's product as it is: fp32 [rows].

    wanted: the logits are overwritten by the losses' gradient with respect to the capped, scaled logits times the cap's slope.
    """
    found = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    cap = 0.0 if transform.cap is None else float(transform.cap)
    _started(_loss, (len(logits),))(
        logits, targets, found, logits.shape[1], logits.stride(0), transform.scale, cap, cap > 0, wanted, WORDS, num_warps=8
    )  # fmt: skip
    return found


@triton.jit
def _acted(gate, KIND: tl.constexpr):
    if KIND == 0:
        return gate * tl.sigmoid(gate)
    return 0.5 * gate * (1 + _tanh(0.7978845608028654 * (gate + 0.044715 * gate * gate * gate)))


@triton.jit
def _slope(gate, KIND: tl.constexpr):
    if KIND == 0:
        share = tl.sigmoid(gate)
        return share * (1 + gate * (1 - share))
    bent = _tanh(0.7978845608028654 * (gate + 0.044715 * gate * gate * gate))
    inner = 0.7978845608028654 * (1 + 0.134145 * gate * gate)
    return 0.5 * (1 + bent) + 0.5 * gate * (1 - bent * bent) * inner


@triton.jit
def _gate(gate, up, out, width, stride, out_stride, KIND: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    opened = _acted(tl.load(gate + row * stride + place, mask=inside, other=0.0).to(tl.float32), KIND)
    opened = opened.to(out.dtype.element_ty).to(tl.float32)  # torch rounds here
    raised = tl.load(up + row * stride + place, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + row * out_stride + place, (opened * raised).to(out.dtype.element_ty), mask=inside)


@triton.jit
def _gate_back(slope, gate, up, gate_out, up_out, width, stride, out_stride, KIND: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    given = tl.load(slope + row * width + place, mask=inside, other=0.0).to(tl.float32)
    opening = tl.load(gate + row * stride + place, mask=inside, other=0.0).to(tl.float32)
    raised = tl.load(up + row * stride + place, mask=inside, other=0.0).to(tl.float32)
    opened = _acted(opening, KIND).to(slope.dtype.element_ty).to(tl.float32)
    before = (given * raised).to(slope.dtype.element_ty).to(tl.float32)
    tl.store(gate_out + row * out_stride + place, (before * _slope(opening, KIND)).to(slope.dtype.element_ty), mask=inside)
    tl.store(up_out + row * out_stride + place, (given * opened).to(slope.dtype.element_ty), mask=inside)


def gated(gate: torch.Tensor, up: torch.Tensor, act: str, out: torch.Tensor) -> None:
    """Write act(gate) * up to `out`; all are [rows, width], gate and up as far from row to row."""
    rows, width = gate.shape
    grid = (rows, -(-width // BLOCK))
    _started(_gate, grid)(gate, up, out, width, gate.stride(0), out.stride(0), ACTIVATIONS[act], BLOCK)


def gated_back(
    slope: torch.Tensor, gate: torch.Tensor, up: torch.Tensor, act: str, outs: tuple[torch.Tensor, torch.Tensor]
) -> None:
    """The gradients of gate and up, written to `outs`, from that of act(gate) * up, [rows, width]."""
    rows, width = gate.shape
    grid = (rows, -(-width // BLOCK))
    _started(_gate_back, grid)(slope, gate, up, *outs, width, gate.stride(0), outs[0].stride(0), ACTIVATIONS[act], BLOCK)


@triton.jit
def _rotate(
    x, cos, sin, out, tokens, heads, half, x_batch, x_token, x_head, out_batch, out_token, out_head, turn_batch, turn_token,
    BACK: tl.constexpr, HEADS: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    batch, token = row // tokens, row % tokens
    head, place = tl.arange(0, HEADS)[:, None], tl.arange(0, HALF)[None, :]
    inside = (head < heads) & (place < half)
    turn = batch * turn_batch + token * turn_token + place
    first_cos = tl.load(cos + turn, mask=place < half, other=0.0).to(tl.float32)
    second_cos = tl.load(cos + turn + half, mask=place < half, other=0.0).to(tl.float32)
    first_sin = tl.load(sin + turn, mask=place < half, other=0.0).to(tl.float32)
    second_sin = tl.load(sin + turn + half, mask=place < half, other=0.0).to(tl.float32)
    x += batch * x_batch + token * x_token + head * x_head + place
    out += batch * out_batch + token * out_token + head * out_head + place
    first = tl.load(x, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(x + half, mask=inside, other=0.0).to(tl.float32)
    kind = out.dtype.element_ty
    straight, other = (first * first_cos).to(kind).to(tl.float32), (second * second_cos).to(kind).to(tl.float32)
    if BACK:
        crossed, back = (second * second_sin).to(kind).to(tl.float32), (first * first_sin).to(kind).to(tl.float32)
    else:
        crossed, back = -(second * first_sin).to(kind).to(tl.float32), -(first * second_sin).to(kind).to(tl.float32)
    tl.store(out, (straight + crossed).to(kind), mask=inside)
    tl.store(out + half, (other - back).to(kind), mask=inside)


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, back: bool) -> torch.Tensor:
    """x [batch, heads, tokens, width] turned by cos and sin [batch or 1, tokens, width]; `back`: the gradient of x from that of
    what was turned."""
    out, (batch, heads, tokens, width) = torch.empty_like(x), x.shape
    if x.stride(-1) != 1:
        x = x.contiguous()
    _started(_rotate, (batch * tokens,))(
        x, cos, sin, out, tokens, heads, width // 2, x.stride(0), x.stride(2), x.stride(1), out.stride(0), out.stride(2),
        out.stride(1), cos.stride(0) if len(cos) > 1 else 0, cos.stride(1),
        back, triton.next_power_of_2(heads), triton.next_power_of_2(width // 2),
    )  # fmt: skip
    return out


def tried(device: str, dtype: torch.dtype) -> str:
    """Why the kernels cannot be used here; empty if each was compiled and ran."""
    from studio.training.head import LogitTransform

    numbers: Any = torch.zeros(2, 8, dtype=dtype, device=device)
    try:
        losses(numbers.clone(), torch.zeros(2, dtype=torch.long, device=device), LogitTransform(), True)
        gated(numbers, numbers, "silu", numbers.clone())
        gated_back(numbers, numbers, numbers, "silu", (numbers.clone(), numbers.clone()))
        rotated(numbers.view(1, 1, 2, 8), numbers[None], numbers[None], back=False)
        if device == "cuda":
            torch.cuda.synchronize()
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except Exception as error:  # Triton, its compiler and the linker each have errors of their own
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return ""
