"""Train an adapter: `fit(base, tokenizer, job, reporter)`."""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core import events
from studio.core.errors import HardwareError
from studio.core.files import sha256
from studio.core.text import plural
from studio.tracking.reporter import Reporter
from studio.training import adapters, checkpoints, guards, loop, optimizations, reference_scores
from studio.training.checkpoints import Progress
from studio.training.job import TrainingJob, TrainingResult
from studio.training.schedule import steps_per_epoch, total_steps

__all__ = ["TrainingJob", "TrainingResult", "fingerprint", "fit"]

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from studio.training.loss_model import LossModel
    from studio.training.monitor import StepMonitor

RESUME_SAFE_FIELDS = {
    "micro_batch",
    "packing",
    "gradient_checkpointing",
    "recompute_every",
    "save_every",
    "threads",
    *optimizations.NAMES,
}
"""Training settings that change how a run is computed and not what comes out: a run may be resumed with others."""


def fit(base: nn.Module, tokenizer: PreTrainedTokenizerBase, job: TrainingJob, reporter: Reporter) -> TrainingResult:
    """Train an adapter on `base` (a PreTrainedModel from `load_base`) and write it to `job.adapter_out`.

    Goes on from the newest complete checkpoint in `job.checkpoints`, and then ends with the same weights as a run that
    was never cut (on a GPU to rounding: its kernels add in any order). `base` is given back without the adapter. Raises
    Stopped (after saving a checkpoint) if the reporter is asked to stop, TrainingError if training is worthless or cannot go
    on, HardwareError if memory or disk run out.
    """
    guards.check_data(job)
    if job.device == "cpu" and job.dtype == "fp16":
        raise HardwareError("fp16 training needs a GPU", hint="Set model.dtype to fp32 or bf16.", where="model.dtype")
    steps = total_steps(job.rows, job.training.batch_size, job.training.epochs, job.training.max_steps)
    run = fingerprint(base, job, steps)
    checkpoint = checkpoints.newest(
        job.checkpoints, run, lambda reason, folder: reporter.event(events.Warning(message=_damaged(reason, folder)))
    )
    from studio.training import choosing
    from studio.training.loss_model import LossModel
    from studio.training.modes import quiet

    with ExitStack() as stack:
        stack.enter_context(quiet())
        in_progress = guards.StepInProgress()
        stack.enter_context(guards.memory_errors(job, in_progress))
        loss_model = LossModel(base, job, _pad(tokenizer), in_progress)
        stack.callback(loss_model.release)
        if job.dtype != "fp32" and not job.adapter.traits.alone:
            from peft.helpers import disable_input_dtype_casting

            stack.enter_context(disable_input_dtype_casting(loss_model.model))  # autocast does it, once instead of twice
        refused = choosing.choose(loss_model)
        if job.training.packing and not loss_model.packed:
            reporter.event(
                events.Warning(message="packing is off: on this model, rows side by side change each other's losses")
            )
        elif refused:
            reporter.event(
                events.Note(message=f"slower than usual: {loss_model.path}. A faster way was refused: {refused[0].reason}")
            )
        for field, reason in loss_model.left.items():
            reporter.event(_left(field, reason))
        for reason, count in loss_model.fusion.refused.items():
            reporter.event(events.Note(message=f"{plural(count, 'adapter')} computed alone: {reason}"))
        loss_model.references = reference_scores.references(loss_model, run, reporter)
        source = _source(loss_model, tokenizer, reporter, fresh=checkpoint is None)
        monitor = _train(loss_model, source, steps, checkpoint, Progress(run=run), reporter)
        return _finish(monitor, job)


def _left(field: str, reason: str) -> events.Note | events.Warning:
    """What is said of an optimization that is not used: most make a run faster, one makes it fit."""
    message = f"training.{field} is not used: {reason}"
    if field == "activation_offloading":
        return events.Warning(message=f"{message}. The run takes more memory than was planned")
    return events.Note(message=message)


def _source(loss_model: LossModel, tokenizer: PreTrainedTokenizerBase, reporter: Reporter, fresh: bool) -> loop.Source:
    """Where the batches come from: the rows, or the model's own answers to them."""
    if not loss_model.job.training.method.generates:
        return loop.Rows(loss_model)
    from studio.training.rollouts import Rollouts

    rollouts = Rollouts(loss_model, tokenizer)
    if fresh:
        rollouts.check_base(reporter)
    return rollouts


def _train(
    loss_model: LossModel,
    source: loop.Source,
    steps: int,
    checkpoint: tuple[Path, Progress] | None,
    fresh: Progress,
    reporter: Reporter,
) -> StepMonitor:
    """All steps that are left; returns the monitor, which knows how far the run came."""
    import torch

    from studio.training.monitor import StepMonitor
    from studio.training.optimizer import OptimizerStep

    job = loss_model.job
    folder, progress = checkpoint or (None, fresh)
    torch.manual_seed(job.training.seed)
    optimizer = OptimizerStep(loss_model.model, job, steps, _optimizer_for(job, reporter))
    monitor = StepMonitor(loss_model, optimizer, steps, reporter, progress, source.held_out_loss)
    if job.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    if folder is not None:
        reporter.event(events.CheckpointLoaded(step=progress.step))
        loop.resume(folder, loss_model, optimizer)
    try:
        monitor.begin()
        if not monitor.finished:
            loop.train(loss_model, optimizer, monitor, source, steps)
        monitor.end()
    finally:
        failure = monitor.writer.settle()  # whatever happened: a resumed run finds whole checkpoints
        if failure is not None:
            reporter.event(events.Note(message=f"the last checkpoint was not written: {failure}"))
    return monitor


def _finish(monitor: StepMonitor, job: TrainingJob) -> TrainingResult:
    """Write the adapter that is kept, and say what came out."""
    from studio.training.monitor import peak_memory

    progress, model = monitor.progress, monitor.loss_model.model
    step = progress.best_step if job.training.keep == "best" and progress.best_step else progress.step
    if step != progress.step:
        best = checkpoints.folder_of(job.checkpoints, step)
        if damage := checkpoints.damage(best):
            monitor.reporter.event(
                events.Warning(message=f"the last step is kept: {best.name}, the best, is damaged: {damage}")
            )
            step = progress.step
        else:
            adapters.read(model, best)
    adapters.save(model, job.adapter_out)
    return TrainingResult(
        steps=progress.step,
        epochs=progress.step / steps_per_epoch(job.rows, job.training.batch_size),
        best_step=progress.best_step or progress.step,
        kept_step=step,
        base_loss=progress.base_loss,
        best_loss=progress.best_loss,
        last_loss=progress.last_loss,
        train_loss=progress.train_loss,
        seconds=progress.seconds,
        tokens=progress.tokens,
        peak_memory_bytes=peak_memory(job.device),
        stopped_early=progress.stopped_early,
    )


def fingerprint(base: nn.Module, job: TrainingJob, steps: int) -> str:
    """Tells runs apart: two runs with the same one may share checkpoints."""
    values = {
        "adapter": job.adapter.model_dump(mode="json", exclude={"start_from"}),
        "training": job.training.model_dump(mode="json", exclude=RESUME_SAFE_FIELDS),
        "base": str(base.name_or_path),
        "dtype": job.dtype,
        "quantized": job.quantized,
        "steps": steps,
        "trained": int(job.train.trained),
        **({"teacher": hashlib.sha256(np.ascontiguousarray(job.teacher.logps).tobytes()).hexdigest()} if job.teacher else {}),
        **({"verifier": job.verification.verifier.model_dump(mode="json")} if job.verification else {}),
        **({"start": sha256(job.start / "adapter_model.safetensors")} if job.start else {}),
    }
    lengths = np.ascontiguousarray(job.train.lengths, dtype=np.int64).tobytes()
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode() + lengths).hexdigest()[:16]


def _pad(tokenizer: Any) -> int:
    """A token to fill rows with; it is never scored and never seen by a real token."""
    return tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0


def _optimizer_for(job: TrainingJob, reporter: Reporter) -> str:
    wanted = job.training.optimizer
    if wanted != "adamw" and job.device == "cpu":
        message = f"{wanted} is for GPUs; on this CPU AdamW with 32-bit states is used instead"
        reporter.event(events.Warning(message=message))
        return "adamw"
    return wanted


def _damaged(reason: str, folder: Path) -> str:
    return f"a checkpoint is damaged and was set aside as {folder.name}: {reason}; the one before it is used"
