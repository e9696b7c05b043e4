"""From a spec with open fields to a plan: each open field decided, with its reason and what deciding otherwise would cost.

Fields that were given are never changed, only warned about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from studio.core.text import count, plural, size
from studio.hardware import memory
from studio.hardware.history import RunMeasurement
from studio.hardware.machine import Machine
from studio.models.dims import model_dims
from studio.planner import (
    alternatives,
    cautions,
    cutting,
    fitting,
    judging,
    learning,
    pace,
    refusals,
    rhythm,
    sampling,
    teacher_needs,
    tracked,
)
from studio.planner.adapted import needs_exact_base
from studio.planner.case import Case, Fit
from studio.planner.disk import disk_of
from studio.planner.draft import Draft
from studio.planner.host import ram_of
from studio.planner.one_change import with_one_change
from studio.planner.plan import Plan
from studio.planner.rows import Rows
from studio.planner.teaching import RemoteTeacher, Teacher
from studio.runs.plan import Counts
from studio.spec import RunSpec
from studio.training import optimizations
from studio.training.methods.distil import Distil
from studio.training.schedule import total_steps


class HasConfig(Protocol):
    """A base model as `studio.models.loading.find` gives it: its config is enough to plan."""

    @property
    def config(self) -> dict[str, Any]:
        """Its `config.json`."""
        ...


def resolve(
    spec: RunSpec,
    machine: Machine,
    base_model: HasConfig,
    rows: Rows,
    history: Sequence[RunMeasurement] = (),
    teacher: Teacher | RemoteTeacher | None = None,
) -> Plan:
    """Decide every open field of `spec` for this machine, model and data; say what the run needs and whether it fits.

    history: earlier runs that were measured, newest first: those on this machine correct its overheads and its pace.
    teacher: of a distillation, as `teaching.teacher` gives it.
    Nothing is loaded or downloaded. Raises SpecError if a decision contradicts a given field, ModelError if the config
    does not describe a model.
    """
    rows = sampling.rows_of(spec, rows)
    if teacher is not None and teacher.learn == "answers":
        rows = sampling.with_answers(spec, rows)
    case = Case(
        machine,
        model_dims(base_model.config),
        base_model.config,
        rows,
        spec.model.hub_id or spec.model.name,
        getattr(base_model, "license", None),
        bool(getattr(base_model, "cached", False) or getattr(base_model, "local", False)),
        tuple(history),
    )
    refusals.refuse_exports(spec, case)
    case, chosen = cutting.fitted(spec, case)
    refusals.refuse(spec, case, chosen)
    draft = Draft(spec)
    _numbers(draft, case)
    cutting.decide(draft, rows, case, chosen)
    _decide_layout(draft, case, chosen)
    for optimization in optimizations.decide(
        spec.adapter, spec.training, chosen.quantization, machine.device, chosen.checkpointing, chosen.peak.reuse_dequantized,
        chosen.peak.offloaded,
    ):  # fmt: skip
        draft.settle(f"training.{optimization.field}", optimization.on, optimization.reason, optimization.otherwise)
    learning.decide(draft, case)
    sampling.decide(draft, case)
    if teacher is not None:
        other = "probabilities say more of each token, answers need no tokens in common"
        draft.settle("training.method.learn", teacher.learn, teacher.why, other)
    rhythm.decide(draft, case)
    _ending(draft, case, chosen)
    tracked.decide(draft)
    return _plan(draft, case, chosen, teacher)


def _numbers(draft: Draft, case: Case) -> None:
    """Number format, attention, optimizer, threads, alpha."""
    spec, machine = draft.spec, case.machine
    dtype = fitting.dtype(spec, case)
    why = {
        "bf16": f"{machine.name} computes bfloat16, which cannot overflow",
        "fp16": f"{machine.name} has no bfloat16 (compute capability below 8.0)",
        "fp32": "exact, and this model is small" if case.dims.is_small else f"{machine.name} is not faster in 16 bit",
    }[dtype]
    if dtype == "fp32" and case.cuda:
        why = f"no bfloat16 on {machine.name}, and this model's activations overflow fp16: about eight times as slow as 16 bit"
    other = "16 bit is faster and less exact" if dtype == "fp32" else "fp32 takes twice the memory and is several times slower"
    draft.settle("model.dtype", dtype, why, other)
    _attention(draft, case)
    if case.cuda:
        _optimizer(draft, case)
    else:
        draft.settle("training.optimizer", "adamw", "8-bit optimizers save nothing worth having on a CPU")
    if not case.cuda and case.dims.is_small:
        draft.settle("training.threads", 1, "a very small model", "more threads wait for each other: up to 6 times slower")
    else:
        draft.settle("training.threads", machine.cores, f"all {plural(machine.cores, 'core')} of this machine")
    _alpha(draft)


def _alpha(draft: Draft) -> None:
    """How strong the adapter is."""
    adapter, other = draft.spec.adapter, "acts like another learning rate for the adapter"
    if adapter.kind == "full":
        draft.settle("adapter.alpha", 2 * adapter.rank, "not used: there is no adapter")
    elif adapter.kind == "rslora":
        draft.settle("adapter.alpha", 8, "as strong as LoRA at rank 16, and as stable at any other", other)
    else:
        draft.settle("adapter.alpha", 2 * adapter.rank, "twice the rank, as usual", other)


def _optimizer(draft: Draft, case: Case) -> None:
    """AdamW on a GPU: fused, or with its states in 8 bit where memory is short."""
    chosen, saved = fitting.optimizer(draft.spec, case), size(fitting.saved_by_8bit(draft.spec, case))
    if chosen == "adamw":
        why, other = "one fused kernel a step, which never makes the host wait", f"adamw_8bit takes {saved} less and is slower"
    else:
        why, other = f"a quarter of AdamW's memory ({saved} less)", f"adamw takes {saved} more and is up to 10 % faster"
    draft.settle("training.optimizer", chosen, why, other)


def _decide_layout(draft: Draft, case: Case, chosen: Fit) -> None:
    """What is held how, and how the batch is cut."""
    spec, rows, room = draft.spec, case.rows, size(case.machine.memory_budget)
    over = rows.over(chosen.max_length)
    why = f"the longest row ({plural(rows.longest, 'token')})" if not over else _shortened(case, chosen, over)
    draft.settle(
        "data.max_length", chosen.max_length, why, "shorter leaves rows out, longer changes nothing" if not over else ""
    )
    batch = fitting.batch_size(spec, case)
    left = len(rows) - (over if cutting.overlong(spec) in ("drop", "split") else 0)
    steps = spec.training.epochs * max(1, -(-left // batch))
    draft.settle(
        "training.batch_size",
        batch,
        f"{plural(left, 'row')} and {spec.training.epochs:g} epochs make {count(steps)} steps",
        "a larger one means fewer steps, a smaller one noisier ones",
    )
    needs = f"{size(chosen.memory.total)} of {room}"
    if exact := needs_exact_base(spec):
        draft.settle("model.quantization", "none", f"{exact.what}: {exact.why} ({needs})")
    else:
        other = with_one_change(spec, case, chosen, "quantization", "nf4" if chosen.quantization == "none" else "none")
        held_whole = chosen.quantization == "none"
        why = "16-bit weights fit, and no memory-saving option is as fast" if held_whole else "the fastest that fits"
        if chosen.memory.total > case.machine.memory_budget:
            why = "no way to hold the weights fits, and this one takes least"
        draft.settle("model.quantization", chosen.quantization, f"{why} ({needs})", other)
    other = with_one_change(spec, case, chosen, "checkpointing", 0 if chosen.checkpointing else 1)
    why = "without it the run needs too much memory or computes too few rows at once" if chosen.checkpointing else "not needed"
    draft.settle("training.gradient_checkpointing", chosen.checkpointing, f"{why} ({needs})", other)
    _recomputed(draft, case, chosen)
    draft.settle(
        "training.packing",
        chosen.packing,
        f"row lengths differ: without it {case.spread:.0%} of the work would be padding"
        if chosen.packing and case.rows.answers == 1
        else "sampled answers differ in length"
        if chosen.packing
        else f"row lengths hardly differ ({case.spread:.0%} padding)",
        "the result is the same, the speed is not",
    )
    draft.settle(
        "training.micro_batch",
        chosen.micro_batch,
        f"{count(chosen.peak.tokens)} tokens at once fit ({needs})"
        if chosen.memory.total <= case.machine.memory_budget
        else "the least",
        "the result is the same; larger takes more memory and is hardly faster",
    )


def _recomputed(draft: Draft, case: Case, chosen: Fit) -> None:
    """Every how many layers is computed again."""
    every = chosen.recompute_every
    if not every:
        draft.settle("training.recompute_every", 1, "not used: nothing is computed again")
    elif every == 1:
        draft.settle(
            "training.recompute_every", 1, "all layers: keeping some layers' activations does not fit, or gains nothing"
        )
    else:
        again = chosen.peak.recomputed(case.dims.layers)
        why = f"memory is left: {case.dims.layers - again} of {case.dims.layers} layers keep their activations"
        draft.settle("training.recompute_every", every, why, with_one_change(draft.spec, case, chosen, "checkpointing", 1))


def _shortened(case: Case, chosen: Fit, over: int) -> str:
    bound = "the model's reach" if case.positions == chosen.max_length else f"what fits in {size(case.machine.memory_budget)}"
    return f"{bound}; {plural(over, 'row')} of {count(len(case.rows))} are longer (the longest has {count(case.rows.longest)})"


def _attention(draft: Draft, case: Case) -> None:
    if fitting.attention(draft.spec, case) == "eager":
        why, other = (
            "this model's scores are capped, or have sinks: what sdpa cannot compute",
            "sdpa is not exact for this model",
        )
    else:
        why, other = (
            "exact and built into PyTorch; keeps packed rows separate without a mask",
            "eager takes memory by length squared",
        )
    draft.settle("model.attention", fitting.attention(draft.spec, case), why, other)


def _ending(draft: Draft, case: Case, chosen: Fit) -> None:
    """The evaluation's answers and the exports."""
    answer = fitting.longest_answer(draft.spec, case)
    longest = f"half as long again as the longest reference ({plural(case.rows.answer, 'token')})"
    draft.settle(
        "evaluation.max_new_tokens",
        answer,
        (longest if answer > case.rows.answer else "the most that is generated")
        if case.rows.answer
        else "no reference answer to measure",
        "a longer one takes time where the model does not stop by itself",
    )
    own = str(case.text.get("dtype") or case.text.get("torch_dtype") or case.config.get("dtype") or "bfloat16")
    own = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}.get(own, "bf16")
    held = draft.spec.model.quantization or chosen.quantization
    for place, target in enumerate(draft.spec.export):
        if "merge_into" in type(target).model_fields:
            if held == "none":
                draft.settle(
                    f"export.{place}.merge_into", "original", "the base was not quantised: they are the weights trained on"
                )
            else:
                draft.settle(
                    f"export.{place}.merge_into",
                    "dequantized",
                    "the very weights the adapter was trained on",
                    "merged into the original weights, answers differ about 12 times as much from those evaluated",
                )
        if "dtype" in type(target).model_fields:
            draft.settle(f"export.{place}.dtype", own, "the base model's own format", "fp32 takes twice the disk")


def _plan(draft: Draft, case: Case, chosen: Fit, teacher: Teacher | RemoteTeacher | None) -> Plan:
    spec, rows = draft.resolved(), case.rows
    batch = spec.training.batch_size
    over = rows.over(chosen.max_length)
    dropped = over if spec.data.overlong in ("drop", "split") else 0
    left = max(1, len(rows) - dropped)
    kept = rows.within(chosen.max_length, bool(dropped))
    steps = total_steps(left, batch, spec.training.epochs, spec.training.max_steps)
    padding = 0.0 if chosen.packing else fitting.padding(rows, kept, batch, chosen.micro_batch, chosen.max_length)
    per_step = float(kept.mean() * rows.per_row * rows.answers * min(batch, left)) if len(kept) else 0.0
    trained = memory.trained_parameters(case.dims, chosen.peak)
    counts = Counts(
        rows=left if len(rows) else 0,
        held_out=len(rows.held_out) // rows.per_row,
        dropped=dropped,
        tokens=int(kept.sum()),
        trained_tokens=rows.trained_within(chosen.max_length, bool(dropped)),
        steps=steps,
        tokens_per_step=per_step,
        padding=padding,
        trained_parameters=trained,
        estimated=rows.estimated,
        replayed=rows.replayed,
    )
    expected = pace.expected(spec, case, chosen)
    rate = pace.rate(case, chosen, expected)
    method = spec.training.method
    scored = pace.FORWARD * (method.compares + method.mismatches) * float(kept.sum())  # once, before the first step
    again = 2 if isinstance(method, Distil) and method.baseline == "sft" else 1
    total = again * (steps * per_step * (1 + pace.FORWARD * method.mismatches) + scored) / (1 - padding)
    generated = sampling.generated(case, batch, steps) if method.generates else 0
    writing = sampling.seconds(case, chosen, spec.training.threads, batch, steps) if generated else (0.0, 0.0)
    local = teacher if isinstance(teacher, Teacher) else None
    stage = teacher_needs.estimate(spec, case, local) if local else None
    disk, ram = disk_of(spec, case, trained, stage), ram_of(spec, case, chosen.memory, stage)
    plan = Plan(
        spec=spec,
        machine=case.machine.name,
        device=case.machine.device,
        decisions=tuple(draft.decisions),
        memory=chosen.memory,
        memory_budget=case.machine.memory_budget,
        counts=counts,
        disk=disk,
        ram=ram,
        seconds=(rows.usual * total / rate.high + writing[0], total / rate.low + writing[1]) if rate and total else None,
        generated=generated,
        judging=judging.sentence(spec, rows),
        rate=rate,
        elsewhere=case.machine.assumed,
        parameters=case.dims.parameters,
        expected=expected.high,
        corrected=case.overheads,
        teacher=stage,
        teacher_hint=teacher_needs.hint(stage, spec, case, local) if stage and local else "",
        warnings=(*cautions.about(spec, case, counts, disk, ram), *cautions.tight(spec, case, chosen.memory)),
    )
    if plan.memory.total <= plan.memory_budget:
        return plan
    return replace(plan, alternatives=tuple(alternatives.near(draft.spec, case)))
