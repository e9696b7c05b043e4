"""What the teacher of a distillation takes: memory while it reads the rows, alone; time; disk for what is kept of it."""

from __future__ import annotations

from dataclasses import replace

from studio.core.text import size
from studio.hardware import memory, speed
from studio.hardware.dims import ModelDims
from studio.hardware.memory_config import MemoryConfig
from studio.hardware.peak import Item
from studio.models.dims import model_dims
from studio.models.generation import BATCH
from studio.models.settings import Model
from studio.planner.case import UNKNOWN_CARD, Case
from studio.planner.pace import FORWARD
from studio.planner.teaching import Teacher
from studio.runs.plan import MemoryEstimate, TeacherEstimate, Time
from studio.spec import ResolvedSpec
from studio.training.methods.distil import Distil
from studio.training.teacher import LOGITS_AT_ONCE, TOKENS_AT_ONCE

LOGIT = 16
"""Bytes a logit of the teacher takes: in 32 bit, its log-softmax, the copy without the likeliest, and its sorting."""


def estimate(spec: ResolvedSpec, case: Case, teacher: Teacher) -> TeacherEstimate:
    """Memory, time and disk of the stage in which the teacher reads the rows, before the student is loaded."""
    method, model = spec.training.method, teacher.model
    assert isinstance(method, Distil)
    dims = model_dims(teacher.base_model.config)
    config = MemoryConfig(
        quantization=model.quantization or "none",
        double_quantization=model.double_quantization,
        dtype=(model.dtype if teacher.adapter else spec.model.dtype) or "fp32",
        rank=1,
        length=max(TOKENS_AT_ONCE, case.rows.longest),
        row=max(1, case.rows.longest),
        checkpointing=False,
        answer_rows=min(BATCH, max(1, len(case.rows.held_out))),
        answer_length=case.rows.longest + spec.evaluation.max_new_tokens,
    )
    answers = teacher.learn == "answers"
    tokens = case.rows.tokens + int(case.rows.held_out.sum())
    scored = case.rows.trained + round(case.rows.scored * int(case.rows.held_out.sum()))
    k = min(method.top_k, case.dims.vocab - 1)
    items = tuple(_items(dims, config, case))
    return TeacherEstimate(
        model=teacher.name,
        quantization=config.quantization,
        memory=MemoryEstimate(total=sum(item.bytes for item in items), items=items, room=case.machine.memory_budget),
        time=_writing(spec, case, dims, config) if answers else _time(spec, case, dims, config, tokens),
        cache=0 if answers else scored * (4 * k + 4 * (k + 1)) + 8 * (len(case.rows.lengths) + len(case.rows.held_out) + 2),
    )


def hint(needs: TeacherEstimate, spec: ResolvedSpec, case: Case, teacher: Teacher) -> str:
    """What would fit in place of a teacher that needs more memory than there is."""
    if needs.memory.total <= needs.memory.room:
        return ""
    if teacher.adapter is None and needs.quantization == "none":
        model = Model.model_validate({**teacher.model.model_dump(), "quantization": "nf4"})
        smaller = estimate(spec, case, replace(teacher, model=model)).memory.total
        if smaller <= needs.memory.room:
            return f"Set training.method.teacher_quantization to nf4 ({size(smaller)})."
    return "Choose a smaller teacher, or one behind an API, whose answers are learned: URL#MODEL."


def _items(dims: ModelDims, config: MemoryConfig, case: Case) -> list[Item]:
    """The parts of the peak: what stays, and the larger of reading the rows and answering the held-out questions."""
    weights = memory.weight_bytes(dims, config.quantization, config.double_quantization, config.dtype)
    each = memory.width(config.dtype)
    largest = max(inputs * outputs for inputs, outputs in dims.linears.values())
    layer = config.tokens * (2 * dims.ffn * (dims.experts_used or 1) + 4 * dims.hidden + dims.query_width) * each
    layer += largest * each if config.quantization != "none" else 0
    logits = LOGIT * max(16 * dims.vocab, LOGITS_AT_ONCE)
    reading, answering = layer + logits, memory.answer_bytes(dims, config)
    passing = max(reading, answering)
    process = memory.CONTEXT if case.cuda else memory.CPU_PROCESS
    return [
        Item("teacher's weights", weights, f"{config.quantization}, {config.dtype}; gone before the student is loaded"),
        Item("layer at work", layer, f"{config.tokens:,} tokens at once, and nothing is kept for a backward pass"),
        Item("logits", logits, "of some tokens at a time, with their log-softmax"),
        Item("answers", passing - reading, "to the held-out questions, beyond what reading takes"),
        Item("fragmentation", round(memory.FRAGMENTATION * passing), "a tenth of what comes and goes"),
        Item("CUDA context" if case.cuda else "process", process, "not the teacher's alone"),
    ]


def _time(spec: ResolvedSpec, case: Case, dims: ModelDims, config: MemoryConfig, tokens: int) -> Time | None:
    """Seconds to read all rows once; None on a GPU of which nothing is known."""
    gpu = case.machine.gpu
    if case.cuda and gpu:
        rate = speed.gpu_rate(dims, config, *((gpu.flops, gpu.bandwidth) if gpu.flops else UNKNOWN_CARD), case.rows.scored)
        rate = rate if gpu.flops else None
    else:
        rate = speed.cpu_rate(dims, config, spec.training.threads, case.machine.cpu_bf16, case.rows.scored)
    if rate is None:
        return None
    return Time(low=FORWARD * tokens / rate.high, high=FORWARD * tokens / rate.low, basis="by the teacher's size")


def _writing(spec: ResolvedSpec, case: Case, dims: ModelDims, config: MemoryConfig) -> Time | None:
    """Seconds to answer all prompts: on a GPU by reading the weights once for each token of a batch, on a CPU by the FLOP."""
    rounds = spec.evaluation.max_new_tokens * -(-(len(case.rows) + len(case.rows.held_out)) // BATCH)
    gpu = case.machine.gpu
    if case.cuda:
        if gpu is None or not gpu.bandwidth:
            return None
        each = memory.weight_bytes(dims, config.quantization, config.double_quantization, config.dtype) / gpu.bandwidth
        one = max(each, speed.STEP + 2 * speed.LAUNCH * dims.layers)
    else:
        one = speed.STEP + BATCH * 2 * dims.active_parameters / (speed.CPU_FLOPS[0] * spec.training.threads)
    return Time(low=0.3 * rounds * one, high=1.5 * rounds * one, basis="by the teacher's size")
