"""How a run fits a machine: every way to hold the weights and cut the batch, and the fastest that fits."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from studio.evaluation.answering import LONGEST
from studio.hardware import memory, speed
from studio.hardware.memory_config import MemoryConfig
from studio.models.generation import BATCH, MANY
from studio.planner import recomputing, shortening
from studio.planner.adapted import adapted, needs_exact_base
from studio.planner.case import UNKNOWN_CARD, Case, Fit
from studio.planner.rows import Rows, most_tokens, padding_share
from studio.spec import RunSpec

BASES = ("none", "nf4")
"""How the base may be held where that is left open, the simpler first."""
STEPS_WANTED = 100
"""Optimizer steps a run should have, or few batches are seen and the learning rate hardly moves."""
WORTH_PACKING = 0.05
"""Padding share from which rows are packed."""
NEAR = 1.03
"""Settings this near to the fastest count as equally fast; the simpler is taken."""
WORTH_TIGHT = 1.15
"""How many times as fast as the others settings have to be that leave a GPU less than that."""
CARD_TOKENS = 4000
"""Tokens computed at once on a card, where they fit: enough for its kernels' launches and its unpacking not to count."""
CPU_TOKENS = 2048
"""Tokens computed at once on a CPU beyond which nothing gets faster."""


def batch_size(spec: RunSpec, case: Case) -> int:
    """Rows per optimizer step: enough steps first, from 8 to 64, a multiple of the micro-batch if that is given."""
    if spec.training.batch_size:
        return spec.training.batch_size
    rows = max(1, len(case.rows))
    wanted = spec.training.epochs * rows / STEPS_WANTED
    size = max(8, min(64, 1 << max(0, int(np.log2(max(wanted, 1))))))
    while size > rows and size > 1:
        size //= 2
    micro = spec.training.micro_batch or 1
    return max(1, round(size / micro)) * micro


EIGHT_BIT_FROM = 0.02
"""Share of the memory budget above which 8-bit optimizer states are worth it: bitsandbytes stops the host once per
adapter tensor (15 to 30 ms a step at 3 to 8 B), the fused AdamW of torch never."""


def dtype(spec: RunSpec, case: Case) -> str:
    """bf16 where the device computes it; else fp16 on a card (never for Gemma, which overflows it) and fp32 on a CPU."""
    if spec.model.dtype:
        return spec.model.dtype
    if case.cuda and case.machine.gpu:
        return "bf16" if case.machine.gpu.bf16 else "fp32" if case.architecture.overflows_fp16 else "fp16"
    return "bf16" if case.machine.cpu_bf16 and not case.dims.is_small else "fp32"


def attention(spec: RunSpec, case: Case) -> str:
    """sdpa, but for models that cap their attention scores or have sinks, which only eager computes."""
    only_eager = case.dims.only_eager or case.text.get("attn_logit_softcapping")
    return spec.model.attention or ("eager" if only_eager else "sdpa")


def _attends_at_once(spec: RunSpec, case: Case) -> bool:
    """Whether packed rows attend in one flash kernel: 16 bit on a GPU from compute capability 8.0, without soft caps."""
    gpu = case.machine.gpu
    usual = attention(spec, case) == "sdpa" and dtype(spec, case) != "fp32" and spec.training.varlen_attention is not False
    return gpu is not None and gpu.capability >= (8, 0) and usual and not spec.adapter.dropout


def optimizer(spec: RunSpec, case: Case) -> str:
    """AdamW, fused into one kernel; with its states in 8 bit where that saves memory worth a wait for each tensor."""
    if spec.training.optimizer:
        return spec.training.optimizer
    return "adamw_8bit" if case.cuda and saved_by_8bit(spec, case) > EIGHT_BIT_FROM * case.machine.memory_budget else "adamw"


def saved_by_8bit(spec: RunSpec, case: Case) -> int:
    """Bytes that the optimizer states take less in 8 bit."""
    trained = memory.trained_parameters(case.dims, adapted(spec))
    return memory.optimizer_bytes(trained, "adamw") - memory.optimizer_bytes(trained, "adamw_8bit")


def longest_answer(spec: RunSpec, case: Case) -> int:
    """Tokens an answer may take: half as long again as the longest reference, at most 1,024, within the model's reach."""
    if spec.evaluation.max_new_tokens:
        return spec.evaluation.max_new_tokens
    most = min(LONGEST, case.positions // 2)
    return min(most, max(8, case.rows.answer * 3 // 2 + 1)) if case.rows.answer else min(most, 256)


def fit(spec: RunSpec, case: Case) -> Fit:
    """The fastest way that fits; if none does, the one that needs least.

    Fields that are given stay. The longest row is shortened for memory only where nothing else can be spared, and if hardly
    any row is lost by it.
    """
    wanted = spec.data.max_length or _longest(case)
    budget, whole = case.machine.memory_budget, _best(spec, case, wanted)
    wasteful = (spec.training.micro_batch or 1) > 1 or spec.training.gradient_checkpointing is False
    given = spec.data.max_length or wasteful or spec.model.quantization in ("none", "int8")
    if whole.memory.total <= budget or given or not len(case.rows):
        return whole
    best = functools.cache(functools.partial(_best, spec, case))
    rows = case.rows.longest_in_rows
    length = shortening.longest(rows, wanted, lambda length: best(length).memory.total / budget)
    return best(length) if length else whole


def _longest(case: Case) -> int:
    longest = max(16, case.rows.longest)
    return min(longest, case.positions)


def _best(spec: RunSpec, case: Case, length: int) -> Fit:
    ways = list(_candidates(spec, case, length))
    fitting = _fitting(case, ways)
    if not fitting and case.cuda and spec.training.activation_offloading is None:
        ways += (way for way in _candidates(spec, case, length, offload=True) if _fits_in_ram(case, way))
        fitting = _fitting(case, ways)
    if not fitting:
        return min(ways, key=lambda fit: fit.memory.total)
    if case.cuda:
        fitting = _with_some_left(fitting, case.machine.memory_budget)
    fastest = min(way.seconds for way in fitting)
    simplest = next(way for way in fitting if way.seconds <= NEAR * fastest)
    return _enough_at_once(simplest, fitting) if case.cuda else simplest


def _fitting(case: Case, candidates: list[Fit]) -> list[Fit]:
    return [fit for fit in candidates if fit.memory.total <= case.machine.memory_budget]


def _fits_in_ram(case: Case, fit: Fit) -> bool:
    """Whether what waits in RAM leaves half of it; another machine is taken to have enough."""
    return case.machine.assumed or memory.offloaded_bytes(case.dims, fit.peak) <= case.machine.ram_free // 2


def _with_some_left(fitting: list[Fit], budget: int) -> list[Fit]:
    """Those that leave some memory, unless one that fills it is much faster."""
    easy = [way for way in fitting if way.memory.total <= shortening.TIGHT * budget]
    worth = easy and min(way.seconds for way in easy) <= WORTH_TIGHT * min(way.seconds for way in fitting)
    return easy if worth else fitting


def _enough_at_once(chosen: Fit, fitting: list[Fit]) -> Fit:
    """The same way with `CARD_TOKENS` at once, or as near to it as fits and is not slower."""
    held = replace(chosen.peak, rows=0, length=0, answer_rows=0)
    alike = [way for way in fitting if replace(way.peak, rows=0, length=0, answer_rows=0) == held]
    larger = [way for way in alike if way.peak.tokens >= chosen.peak.tokens and way.seconds <= chosen.seconds]
    return next((way for way in larger if way.peak.tokens >= CARD_TOKENS), larger[-1])


def _candidates(spec: RunSpec, case: Case, length: int, offload: bool = False) -> Iterator[Fit]:
    """Every allowed way, the simpler before the more sparing: 16 bit before nf4, keeping before computing again."""
    training, size = spec.training, batch_size(spec, case)
    held = (spec.model.quantization,) if spec.model.quantization else ("none",) if needs_exact_base(spec) else BASES
    micros = (training.micro_batch,) if training.micro_batch else divisors(size)
    packing = training.packing if training.packing is not None else case.spread > WORTH_PACKING or case.rows.answers > 1
    for quantization in held:
        for every in recomputing.choices(spec, case.dims.layers):
            if offload and not every:  # nothing waits where nothing is computed again
                continue
            for unpack in recomputing.unpacking(spec, quantization, every):
                for micro in micros:
                    yield candidate(spec, case, quantization, every, micro, length, packing, unpack, offload)


def candidate(
    spec: RunSpec, case: Case, quantization: str, every: int, micro: int, length: int, packing: bool,
    unpack: bool | None = None, offload: bool = False,
) -> Fit:  # fmt: skip
    """One way to do the run, with its memory and speed. every: one layer of so many is computed again; 0: none. offload:
    their inputs wait in RAM, unless the spec says otherwise."""
    unpack = recomputing.unpacking(spec, quantization, every)[0] if unpack is None else unpack
    batch = batch_size(spec, case)
    per_row = case.rows.per_row
    tokens = micro * length * per_row
    if packing and len(case.rows):
        most = most_tokens(np.minimum(case.rows.lengths, length), batch * per_row) * case.rows.answers
        tokens = min(tokens, max(length * per_row, most))
    peak = replace(
        adapted(spec),
        quantization=quantization,
        double_quantization=spec.model.double_quantization,
        dtype=dtype(spec, case),
        attention=attention(spec, case),
        optimizer=optimizer(spec, case),
        rows=1 if packing else micro * per_row,
        length=tokens if packing else length,
        row=length,
        varlen=packing and _attends_at_once(spec, case),
        checkpointing=every > 0,
        recompute_every=max(1, every),
        answer_length=min(length + longest_answer(spec, case), max(length, case.positions)),
        fused=recomputing.fused(spec, quantization),
        reuse_dequantized=unpack,
        offloaded=case.cuda and recomputing.offloading(spec, every, offload),
    )
    peak = replace(peak, answer_rows=_answer_rows(case, peak, MANY if peak.sampled_by == "model" else BATCH))
    typical = _typical(case, peak, micro, batch, packing)
    seconds = _seconds(case, typical, micro, length, batch, packing)
    return Fit(quantization, every, micro, length, packing, peak, typical, case.memory(peak), seconds)


def _typical(case: Case, peak: MemoryConfig, micro: int, batch: int, packing: bool) -> MemoryConfig:
    """An ordinary micro-batch: as many rows of mean length as it takes, and no more than a batch has."""
    per_row = case.rows.per_row
    mean = max(1, case.rows.tokens // max(1, len(case.rows.lengths)))
    tokens = min(peak.tokens, micro * per_row * peak.row) if packing else micro * per_row * mean
    return replace(
        peak, rows=1, length=max(1, min(tokens, mean * batch * per_row * case.rows.answers)), row=min(mean, peak.row)
    )


def _answer_rows(case: Case, peak: MemoryConfig, most: int) -> int:
    """How many answers are generated at once: as many as fit, for an evaluation must never decide how a run is trained."""
    one = replace(peak, answer_rows=1)
    found = case.memory(one)
    spare = case.machine.memory_budget - found.total
    each = max(1, memory.answer_bytes(case.dims, one))
    rows = most
    while rows > 1 and rows * each * (1 + memory.FRAGMENTATION) > max(spare, 0) + found.step:
        rows //= 2
    return rows


def _seconds(case: Case, typical: MemoryConfig, micro: int, length: int, batch: int, packing: bool) -> float:
    """Seconds a real token takes, for ranking: padding counts against a layout."""
    wasted = 0.0 if packing else padding(case.rows, case.rows.lengths, batch, micro, length, batches=40)
    scored = case.rows.scored
    if case.cuda and case.machine.gpu:
        gpu = case.machine.gpu
        known = (gpu.flops, gpu.bandwidth) if gpu.flops else UNKNOWN_CARD
        return speed.seconds_per_token(case.dims, typical, *known, scored) / (1 - wasted)
    again = speed.flops_per_token(case.dims, typical, scored) * (1.1 if typical.quantization != "none" else 1.0)
    overhead = 1 + 64 / min(typical.tokens, CPU_TOKENS)
    return again * overhead / speed.CPU_FLOPS[0] / (1 - wasted)


def padding(rows: Rows, lengths: np.ndarray, batch: int, micro: int, length: int, batches: int = 200) -> float:
    """The share of computed tokens that would be padding without packing, in micro-batches of `micro` rows of `length`."""
    per_row = rows.per_row
    return padding_share(lengths, batch * per_row, micro * per_row, micro * length * per_row, batches=batches)


def divisors(number: int) -> tuple[int, ...]:
    """All divisors of a number, smallest first."""
    return tuple(part for part in range(1, number + 1) if number % part == 0)
