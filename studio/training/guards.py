"""Training that would be worthless or cannot go on is stopped here, with the step, the likely cause, and what to change."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.core.errors import Diverged, HardwareError, OutOfMemory, TrainingError
from studio.core.machine_errors import Fault, machine_fault
from studio.core.text import count, plural
from studio.training.job import TrainingJob

NEEDS = {
    "pairs": "preference pairs",
    "labels": "answers labelled good or bad",
    "conversations": "conversations",
    "texts": "documents of plain text",
    "prompts": "prompts and a verifier that scores answers to them",
}
"""What a training method may need, in words."""
LARGEST_GAP = 0.5
"""Mean distance of an engine's log p from the trained model's, in nats a token, beyond which it is another model: the same
weights in 32 and in 16 bit are 0.008 apart (vLLM on a CPU, the starter)."""
MAX_OVERFLOWS = 50
"""fp16 scales the loss down after each overflow; this many in a row is no longer that."""


def check_data(job: TrainingJob) -> None:
    """Raise TrainingError if there is nothing to train on, or a row is longer than the run was planned for."""
    if len(job.train) == 0:
        raise TrainingError(
            "There are no rows to train on",
            hint="See which rows were rejected, dropped as over-long or held out: `studio data inspect`.",
            where="data.train",
        )
    needs = job.training.method.needs
    if (
        (needs == "pairs" and job.train.per_row != 2)
        or (needs == "labels" and job.train.wanted is None)
        or (needs == "prompts" and job.verification is None)
    ):
        raise TrainingError(
            f"{job.training.method.kind} learns from {NEEDS[needs]}, and these rows are none",
            hint="Give such rows in data.train, or set training.method to sft.",
            where="training.method",
        )
    if job.training.method.scores and job.adapter.kind == "full":
        raise TrainingError(
            "a reward model is an adapter with a head, and is not trained in full",
            hint="Set adapter.kind to lora.",
            where="adapter.kind",
        )
    if job.training.method.distils and job.teacher is None:
        raise TrainingError(
            "distillation needs a teacher that has read the rows",
            hint="Name a run or a model in training.method.teacher.",
            where="training.method.teacher",
        )
    if job.train.trained == 0:
        raise TrainingError(
            f"None of the tokens in {plural(job.rows, 'row')} would be trained: all are masked",
            hint="See the token preview (`studio data preview`); answers may be empty, or set data.train_on to all.",
            where="data.train_on",
        )
    longest = int(job.train.lengths.max())
    if longest > job.max_length:
        raise TrainingError(
            f"A row has {count(longest)} tokens and the longest allowed is {count(job.max_length)}",
            hint=f"Set data.max_length to {longest}, or let data.overlong drop or shorten such rows.",
            where="data.max_length",
        )


def check_loss(loss: float, step: int, trained: int) -> None:
    """Raise TrainingError if the loss of step `step` (from 1) is not finite, or the first one is exactly zero."""
    if not math.isfinite(loss):
        raise Diverged(
            f"The loss became {_name(loss)} at step {step}",
            hint="Lower training.learning_rate (try a third), and use model.dtype bf16 or fp32 if it is fp16. "
            "The checkpoints before this step are sound.",
            where="training.learning_rate",
        )
    if step == 1 and loss == 0.0 and trained:
        raise TrainingError(
            f"The loss of the first step is exactly 0 over {plural(trained, 'trained token')}: nothing can be learned",
            hint="See the token preview (`studio data preview`): the trained tokens should be the answers.",
            where="data.train_on",
        )


def check_held_out_loss(loss: float, step: int) -> None:
    """Raise TrainingError if the held-out loss after `step` steps is not finite."""
    if not math.isfinite(loss):
        raise (Diverged if step else TrainingError)(
            f"The held-out loss is {_name(loss)} after step {step}",
            hint="Lower training.learning_rate (try a third)."
            if step
            else "This is the base model, before any training: set model.dtype to bf16 or fp32, or check its files.",
            where="training.learning_rate" if step else "model.dtype",
        )


def check_gradient(norm: float, step: int) -> None:
    """Raise TrainingError if the gradient of step `step` is not finite. Weights it spoiled meanwhile are not kept."""
    if not math.isfinite(norm):
        raise Diverged(
            f"The gradient became {_name(norm)} at step {step}",
            hint="Lower training.learning_rate (try a third) or training.max_grad_norm, and use model.dtype bf16 or fp32 if "
            "it is fp16. The checkpoints before this step are sound.",
            where="training.learning_rate",
        )


def check_sampler_gap(gap: float, when: str) -> None:
    """Raise TrainingError if the probabilities of the engine that wrote the answers are those of another model: no weighing
    would make up for it. gap: the mean distance of its log p from the trained model's."""
    if not gap <= LARGEST_GAP:
        raise TrainingError(
            f"{when}: vLLM's log p of the answers it wrote is {gap:.2f} a token away from the trained model's: it is another "
            "model, or one that is computed differently",
            hint="Set training.method.engine to transformers.",
            where="training.method.engine",
        )


def check_overflows(in_a_row: int, step: int) -> None:
    """Raise TrainingError if fp16 overflowed so often that its scale cannot be the cause."""
    if in_a_row >= MAX_OVERFLOWS:
        raise Diverged(
            f"fp16 overflowed {in_a_row} times in a row before step {step}",
            hint="Set model.dtype to bf16 where the GPU has it, or to fp32.",
            where="model.dtype",
        )


def _name(value: float) -> str:
    return "not a number (NaN)" if math.isnan(value) else "infinite"


@dataclass
class StepInProgress:
    """What is being computed: the step, from 1 (0 before the first), and the rows and tokens of a micro-batch, with padding."""

    step: int = 0
    rows: int = 0
    tokens: int = 0


@contextlib.contextmanager
def memory_errors(job: TrainingJob, in_progress: StepInProgress) -> Iterator[None]:
    """Turn running out of memory, on the device or the machine, into OutOfMemory, which says what to change."""
    try:
        yield
    except (MemoryError, RuntimeError) as problem:
        fault = machine_fault(problem)
        if fault is None or not fault.is_memory:
            raise
    else:
        return
    # out here the traceback is gone, which holds the tensors that filled the memory
    rows, tokens = in_progress.rows, in_progress.tokens
    what = f"{plural(rows, 'row')}, {count(tokens)} tokens at once" if rows else "between two batches"
    if job.device == "cuda":
        import torch

        torch.cuda.empty_cache()
    raise OutOfMemory(
        f"Ran out of {'GPU' if job.device == 'cuda' else ''} memory at step {in_progress.step}: {what}".replace("  ", " "),
        hint=what_to_change(job),
        where="training.micro_batch",
    ) from None


_OF_TORCH_SAVE = ("PytorchStreamWriter", "inline_container", "iostream error")
"""What torch.save names where a write failed: a method of its writer, the file of C++ that found the end elsewhere, or C++'s
stream, which fails when the file is closed."""

_FREE_SPACE = "Free some disk space"
_DISK_ADVICE: dict[Fault | None, str] = {
    Fault.NO_PERMISSION: "Check the owner and permissions of the folder, and whether its disk is mounted read-only,",
    Fault.DISK_ERROR: "Check the disk and its connection",
}
"""What to do before a run is resumed, by what the disk could not do."""


@contextlib.contextmanager
def disk_errors(what: str, where: Path) -> Iterator[None]:
    """Turn a disk that is full or gone into a HardwareError. what begins the message: `The checkpoint of step 3`."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as problem:
        reason, fault = getattr(problem, "strerror", None) or problem, machine_fault(problem)
    except RuntimeError as problem:
        if not any(part in str(problem) for part in _OF_TORCH_SAVE):
            raise
        reason, fault = "the disk is full, or failed", None  # torch.save does not say which
    else:
        return
    raise HardwareError(
        f"{what} could not be written: {reason}",
        hint=f"{_DISK_ADVICE.get(fault, _FREE_SPACE)} and resume the run; it goes on from its last checkpoint.",
        where=str(where),
    )


def what_to_change(job: TrainingJob) -> str:
    """The settings that save memory and are not yet used, the cheapest first."""
    changes = []
    result = "the result stays the same, but for the pattern of dropout" if job.adapter.dropout else "the result stays the same"
    if (micro := job.training.micro_batch) > 1:
        changes.append(f"training.micro_batch to {micro // 2} ({result})")
    if not job.training.gradient_checkpointing:
        changes.append("training.gradient_checkpointing to true (slower)")
    if not job.quantized:
        changes.append("model.quantization to nf4")
    changes.append(f"data.max_length to {max(16, job.max_length // 2)} (longer rows are then left out or shortened)")
    return f"Set {', or '.join(changes)}."
