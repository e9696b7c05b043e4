"""What a person should know before the run starts. Nothing here changes a setting."""

from __future__ import annotations

from collections.abc import Iterator

from studio.core.text import count, parameters, plural, size
from studio.evaluation import more_rows
from studio.hardware.doctor import driver_advice
from studio.hardware.peak import Memory
from studio.models import presets
from studio.planner import fitting, sampling, shortening
from studio.planner.adapted import needs_exact_base
from studio.planner.case import Case
from studio.planner.oom_recovery import next_oom_fallback
from studio.planner.plan import Disk, Ram
from studio.runs.plan import Counts
from studio.spec import ResolvedSpec, edit

FEW_HELD_OUT = 30
"""Held-out rows below which the evidence's intervals are too wide to tell much."""
FEW_STEPS = 20
"""Optimizer steps below which hardly anything is learned."""


def about(spec: ResolvedSpec, case: Case, counts: Counts, disk: Disk, ram: Ram) -> Iterator[str]:
    """Warnings on data, model, numbers and machine, most important first."""
    yield from _data(spec, case, counts)
    yield from _model(spec, case)
    yield from _numbers(spec, case)
    yield from _machine(case, disk, ram)


def _data(spec: ResolvedSpec, case: Case, counts: Counts) -> Iterator[str]:
    over, length = case.rows.over(spec.data.max_length), spec.data.max_length
    if over:
        what = {"truncate": "lose their beginning"}.get(spec.data.overlong, "are left out")
        yield f"{plural(over, 'row')} of {count(len(case.rows))} are longer than {length:,} tokens and {what} (data.overlong)"
    reach = max(length, more_rows.SHORT_QUESTIONS)
    if unmeasured := int((case.rows.held_out > reach).sum()):
        yield (
            f"{unmeasured:,} of {plural(counts.held_out, 'held-out row')} are longer than {reach:,} tokens and will not be "
            "measured: take a model with a longer context, or shorter rows (evaluation)"
        )
    if counts.held_out == 0 and not spec.evaluation.folds:
        yield "no rows are held out: the run ends without evidence that the tuned model is better (data.holdout)"
    elif 0 < counts.held_out < FEW_HELD_OUT:
        more = more_rows.advice(case.rows.held_out_from)
        yield f"only {plural(counts.held_out, 'row')} held out: the evidence will have wide intervals (data.holdout); {more}"
    if counts.steps < FEW_STEPS:
        yield f"only {plural(counts.steps, 'step')}: more epochs, or a smaller training.batch_size, would learn more"
    if spec.training.batch_size > counts.rows > 0:
        yield f"the effective batch of {spec.training.batch_size} is larger than the dataset of {plural(counts.rows, 'row')}"
    yield from case.rows.notes
    if unscored := sampling.caution(case.rows, spec.data.verifier):
        yield unscored
    if counts.estimated:
        yield "tokens are estimated from characters: the tokenizer is not on this machine"


def _model(spec: ResolvedSpec, case: Case) -> Iterator[str]:
    known = presets.preset(case.name)
    if known and known.license_note:
        yield f"licence of {known.name}: {known.license_note}"
    elif known is None and case.name != "starter" and not case.license:
        yield f"the licence of {case.name} is not known here: read it before you share anything made from the model"
    if case.dims.counted == "like llama":
        yield f"the architecture `{case.dims.architecture}` could not be built: memory is counted as for a Llama of its sizes"
    if case.dims.experts:
        if spec.model.quantization == "int8":
            yield "this model's experts are not quantised by int8: they stay in 16 bit (nf4 quantises them)"
        if case.dims.experts_adapted and spec.adapter.targets == "all-linear":
            yield "adapters on experts take three times one layer's experts in 16 bit; adapter.targets: attention takes none"
        elif spec.adapter.targets == "all-linear":
            yield "adapters are on attention and shared layers alone: peft adapts no experts of this architecture"
    if case.positions and spec.data.max_length > case.positions:
        yield f"data.max_length {spec.data.max_length:,} exceeds the model's context length of {case.positions:,}"
    servers = [target.kind for target in spec.export if target.kind == "adapter"]
    if servers and spec.adapter.kind == "full":
        yield "the export adapter contains whole layers: peft loads it, servers that load adapters by name do not"
    elif servers and spec.adapter.modules_to_save:
        yield "adapter.modules_to_save: peft loads the export adapter, servers that load adapters by name do not"
    if spec.adapter.rank > case.dims.hidden:
        yield f"rank {spec.adapter.rank} exceeds the model's hidden size of {case.dims.hidden}"


def _numbers(spec: ResolvedSpec, case: Case) -> Iterator[str]:
    gpu, dtype = case.machine.gpu, spec.model.dtype
    if dtype == "fp16" and case.architecture.overflows_fp16:
        family = case.architecture.family
        yield f"{family} models overflow fp16: expect NaN; use bf16, or fp32 where there is none (model.dtype)"
    if dtype == "bf16" and gpu and not gpu.bf16:
        yield f"{gpu.name} has no bfloat16: it will be emulated, slowly (model.dtype)"
    if dtype == "bf16" and case.machine.emulates(dtype):
        yield f"{case.machine.name} has no bfloat16 products: training takes about ten times as long as in fp32 (model.dtype)"
    if spec.model.quantization == "int8" and case.cuda:
        yield "int8 is slower than both nf4 and 16 bit on a GPU (model.quantization)"
    if spec.model.attention == "flash_attention_2" and (gpu is None or gpu.capability < (8, 0)):
        yield "flash_attention_2 requires a GPU of compute capability 8.0 (model.attention)"
    rate, usual = (
        spec.training.learning_rate,
        (5e-3 if case.dims.is_small else 2e-4) * spec.training.method.rate * spec.adapter.traits.rate,
    )
    if rate > 10 * usual:
        yield f"a learning rate of {rate:g} is far above the usual {usual:g} for {parameters(case.dims.parameters)} parameters"
    elif 0 < rate < usual / 20:
        yield f"a learning rate of {rate:g} is far below the usual {usual:g}: little may be learned"


def tight(spec: ResolvedSpec, case: Case, memory: Memory) -> Iterator[str]:
    """A plan for a GPU that leaves little of its memory, and what would leave more."""
    if not case.cuda or not shortening.TIGHT * case.machine.memory_budget < memory.total <= case.machine.memory_budget:
        return
    planned = f"{size(memory.total)} of {size(case.machine.memory_budget)} of memory"
    said = f"tight: {planned} is planned for, and an estimate may be 5 % short"
    if ease := _ease(spec, case, memory):
        said += f"; {ease} leaves more"
    yield f"{said}. {_when_short(spec, case)}"


def _ease(spec: ResolvedSpec, case: Case, memory: Memory) -> str:
    """The setting that takes less, as a person would set it; empty if none is known."""

    def needed(field: str, value: object) -> int:
        return fitting.fit(edit(spec, {field: value}), case).memory.total

    step = next_oom_fallback(spec, case.cuda)
    while step:
        field, value = step
        if needed(field, value) < memory.total:
            return field if value is True else f"{field} {value}"
        spec = edit(spec, {field: value})
        step = next_oom_fallback(spec, case.cuda)
    if spec.model.quantization == "none" and not needs_exact_base(spec):
        return "model.quantization nf4"
    rows, wanted, budget = case.rows.longest_in_rows, spec.data.max_length, case.machine.memory_budget
    if not len(rows):
        return ""
    length = shortening.easing(rows, wanted, lambda length: needed("data.max_length", length) / budget)
    lost = case.rows.over(length)
    easy = length and lost <= shortening.DROPPED * len(rows)
    return f"data.max_length {length} ({plural(lost, 'row')} over-long)" if easy else "a smaller base model"


def _when_short(spec: ResolvedSpec, case: Case) -> str:
    """What becomes of a run whose memory does not suffice after all."""
    if next_oom_fallback(spec, case.cuda):
        return "A run that runs out of memory goes on with less at once"
    return "It computes no more at once than it must already: a run that runs out of memory fails"


def _machine(case: Case, disk: Disk, ram: Ram) -> Iterator[str]:
    here = not case.machine.assumed  # the RAM and disk beside a GPU elsewhere are not known
    for stage, needed in ram.stages:
        if here and needed > ram.free and (case.cuda or stage != "training"):
            yield f"{stage} needs {size(needed)} of RAM; only {size(ram.free)} is free"
    if here and disk.total > disk.free:
        yield f"the run requires {size(disk.total)} of disk space; only {size(disk.free)} is free"
    gpu = case.machine.gpu
    if gpu is None:
        if case.dims.parameters > 1_000_000_000:
            yield f"{parameters(case.dims.parameters)} parameters on a CPU: expect days, not hours"
        return
    if not gpu.driver_is_current:
        yield f"driver {gpu.driver} is too old for this torch, and the run will not start. {driver_advice()}"
    if gpu.mig:
        yield f"{gpu.name} is partitioned (MIG): a run gets one instance, which has less memory than this plan assumes"
    if gpu.returned:
        yield f"{size(gpu.returned)} of {gpu.name} is in use by other runs; the run will wait until it is free"
    if gpu.held > gpu.returned:
        other = size(gpu.held - gpu.returned)
        yield f"{other} of {gpu.name} is in use by other programs and is not planned with: close them for a faster run"
    elif not case.machine.assumed and gpu.free < 0.85 * gpu.total:
        yield f"only {size(gpu.free)} of {size(gpu.total)} is free on {gpu.name}: close other programs that use the GPU"
