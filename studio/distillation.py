"""The stages of a run that distils: the teacher reads the rows and leaves, a baseline is trained, the evidence compares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio import planner
from studio.data import encode, prepare
from studio.models import loading
from studio.runs.folder import RunFolder
from studio.tracking.reporter import Reporter
from studio.training.methods.distil import Distil

if TYPE_CHECKING:
    from studio.evaluation.report import Report
    from studio.training.job import TrainingJob

HELD_OUT = "held-out"


def taught(prepared: Any, folder: RunFolder, reporter: Reporter) -> dict[str, Any]:
    """What the teacher says of the rows, as fields of the training job, for a method that distils.

    Scored once, before the student is loaded; its answers to the held-out rows are kept for the evidence. prepared: what the
    first stage of a run made (`pipeline.Prepared`).
    """
    from studio.evaluation import teaching
    from studio.training import teacher

    spec, method = prepared.spec, prepared.spec.training.method
    found = planner.teacher(spec, folder.path.parent.parent, prepared.tokenizer, spec.model.dtype)
    if found is None or not isinstance(method, Distil):
        return {}
    file, held_out = folder.data / teaching.FILE, folder.data / f"{HELD_OUT}.jsonl"
    rows = list(prepare.conversations(held_out)) if held_out.exists() else []

    def load() -> Any:
        base = loading.load_base(found.model, prepared.machine.device, found.found)
        return loading.attach_adapter(base, found.adapter) if found.adapter else base

    def answer(model: Any) -> None:
        settings, seed = spec.evaluation, spec.training.seed
        teaching.answered(
            model, prepared.tokenizer, rows, settings, seed, found.key, reporter, spec.data.train_on
        ).write(file)  # fmt: skip

    parts = {"train": prepared.train, **({HELD_OUT: prepared.held_out} if prepared.held_out is not None else {})}
    vocabulary = loading.model_dims(prepared.found.config).vocab
    also = answer if rows and teaching.TeacherAnswers.found(file, found.key) is None else None
    words = teacher.taught(load, found.key, parts, method.top_k, vocabulary, folder.data, reporter, also)
    return {"teacher": words["train"], "teacher_held_out": words.get(HELD_OUT)}


def train_baseline(base: Any, tokenizer: Any, job: TrainingJob, folder: RunFolder, reporter: Reporter) -> None:
    """Train what the student is compared with: the same rows without the teacher. Nothing for other methods."""
    method = job.training.method
    if isinstance(method, Distil) and method.baseline == "sft":
        from studio.training import baseline

        baseline.train(base, tokenizer, job, folder.baseline, reporter)


def baseline_of(folder: RunFolder) -> Path | None:
    """The adapter that the rows gave without the teacher, if it was trained."""
    adapter = folder.baseline / "adapter"
    return adapter if (adapter / "adapter_config.json").exists() else None


def beside_teacher(report: Report, model: Any, folder: RunFolder, prepared: Any) -> Report:
    """The report with each model's distance from the teacher on the held-out rows, and the teacher's own answers.

    model: the student with its adapter on. The same report for a run without a teacher.
    """
    from studio.evaluation import teaching
    from studio.evaluation.report import SFT
    from studio.training import teacher

    words, tokens = teacher.read(folder.data / f"{HELD_OUT}.teacher"), folder.data / f"{HELD_OUT}.tokens"
    if not isinstance(prepared.spec.training.method, Distil) or words is None or not tokens.exists():
        return report
    rows = encode.limit(encode.load(tokens), prepared.spec.data.max_length, prepared.spec.data.overlong)
    apart = {"tuned": teacher.apart(model, rows, words)}
    with model.disable_adapter():
        apart["base"] = teacher.apart(model, rows, words)
    if baseline := baseline_of(folder):
        loading.attach_adapter(model, baseline, SFT)
        model.set_adapter(SFT)
        apart[SFT] = teacher.apart(model, rows, words)
        model.set_adapter("default")
        model.delete_adapter(SFT)
    file = folder.data / teaching.FILE
    return teaching.beside(report, apart, teaching.TeacherAnswers.read(file) if file.exists() else None)
