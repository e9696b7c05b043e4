"""A run that took more memory than was planned: the next setting that takes less and changes nothing of the result."""

from __future__ import annotations

from typing import Any

from studio.core import events
from studio.core.errors import OutOfMemory
from studio.runs.folder import RunFolder
from studio.runs.plan import PlanRecord
from studio.runs.records import RunLock
from studio.spec import ResolvedSpec, edit, fingerprint
from studio.tracking.reporter import Reporter


def recover_from_oom(folder: RunFolder, spec: ResolvedSpec, problem: OutOfMemory, reporter: Reporter) -> ResolvedSpec:
    """The spec with the next setting that takes less memory, reported and written to the run's spec, plan and lock.

    Raises `problem` if there is none left.
    """
    problem.__context__ = None  # its traceback holds the tensors that filled the memory
    plan = PlanRecord.read(folder.plan)
    found = next_oom_fallback(spec, cuda=plan.device == "cuda")
    if found is None:
        raise problem
    field, value = found
    changed = edit(spec, {field: value})
    plan.with_change(field, value, problem.message).write(folder.plan)
    RunLock.read(folder.lock).model_copy(update={"fingerprint": fingerprint(changed)}).write(folder.lock)
    folder.write_spec(changed)
    message = f"{problem.message}. Going on from the last checkpoint {describe(spec, field, value)}"
    reporter.event(events.Warning(message=message, field=field, value=value))
    return changed


def next_oom_fallback(spec: ResolvedSpec, cuda: bool) -> tuple[str, Any] | None:
    """The field to change and its new value: the micro-batch halved, or less where half of it does not divide the batch; then
    gradient checkpointing, then of every layer, then on a GPU (`cuda`) with their inputs in RAM; None if all are used up."""
    training = spec.training
    rows, batch = training.micro_batch, training.batch_size
    if rows > 1:
        return "training.micro_batch", max(part for part in range(1, rows // 2 + 1) if batch % part == 0)
    if not training.gradient_checkpointing:
        return "training.gradient_checkpointing", True
    if training.recompute_every > 1:
        return "training.recompute_every", 1
    if cuda and not training.activation_offloading:
        return "training.activation_offloading", True
    return None


def describe(spec: ResolvedSpec, field: str, value: object) -> str:
    """What the change means, in a sentence without its end."""
    if field == "training.micro_batch":
        rows = f"{value} instead of {spec.training.micro_batch} rows at once"
        return f"with {rows}; the effective batch stays {spec.training.batch_size}, and so does the result"
    if field == "training.activation_offloading":
        return "with the inputs of layers in RAM: the same result"
    layers = " of every layer" if field == "training.recompute_every" else ""
    return f"with gradient checkpointing{layers}: slower, the same result"
