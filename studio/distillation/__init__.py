"""The stages of a run that distils: the teacher reads the rows and leaves, a baseline is trained, the evidence compares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio import planner
from studio.core import events
from studio.core.text import plural
from studio.data import encode, prepare, replay
from studio.evaluation.report import HELD_OUT
from studio.models import loading, pruning
from studio.planner.teaching import RemoteTeacher, Teacher
from studio.runs.folder import RunFolder
from studio.tracking.reporter import Reporter
from studio.training.methods.distil import Distil

if TYPE_CHECKING:
    from torch import nn

    from studio.evaluation.report import Report
    from studio.training.job import TrainingJob


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
    if isinstance(found, RemoteTeacher) or found.learn == "answers":
        return _by_answers(found, method, prepared, folder, reporter)
    file, held_out = folder.data / teaching.FILE, folder.data / f"{HELD_OUT}.jsonl"
    rows = list(prepare.conversations(held_out)) if held_out.exists() else []

    def load() -> Any:
        return _load(found, prepared.machine.device)

    def answer(model: nn.Module) -> None:
        settings, seed = spec.evaluation, spec.training.seed
        teaching.answered(
            model, prepared.tokenizer, rows, settings, seed, found.key, reporter, spec.data.train_on
        ).write(file)  # fmt: skip

    parts = {"train": prepared.train, **({HELD_OUT: prepared.held_out} if prepared.held_out is not None else {})}
    vocabulary = loading.model_dims(prepared.base_model.config).vocab
    record = pruning.record_of(prepared.base_model.folder)
    if record is not None and record.parent == method.teacher and found.adapter is not None:
        rows = []  # the run that it was pruned from has answered them: they are the evidence's third side anyway
    also = answer if rows and teaching.TeacherAnswers.existing(file, found.key) is None else None
    words = teacher.taught(load, found.key, parts, method.top_k, vocabulary, folder.data, reporter, also)
    return {"teacher": words["train"], "teacher_held_out": words.get(HELD_OUT)}


def _by_answers(
    teacher: Teacher | RemoteTeacher, method: Distil, prepared: Any, folder: RunFolder, reporter: Reporter
) -> dict[str, Any]:
    """Fields of a job that learns the teacher's answers to the prompts of the rows, as supervised fine-tuning does."""
    from studio.distillation import answers
    from studio.evaluation import teaching
    from studio.training.settings import ResolvedTraining

    spec, data = prepared.spec, folder.data
    taught, held_out, longest = data / "taught.jsonl", data / f"{HELD_OUT}.jsonl", spec.evaluation.max_new_tokens
    asked = [*prepare.conversations(held_out)] if held_out.exists() else []
    asked = [asked[index] for index in teaching.asked_of(asked, spec.evaluation, spec.training.seed)]
    if not taught.exists() or (asked and teaching.TeacherAnswers.existing(data / teaching.FILE, teacher.key) is None):
        rows = answers.answerable([*prepare.conversations(data / "train.jsonl")])
        if isinstance(teacher, RemoteTeacher):
            given = answers.ask_all(teacher, method, [*rows, *asked], longest, data, folder.path.parent.parent, reporter)
        else:
            tokenizer = loading.tokenizer(teacher.base_model)
            model = _load(teacher, prepared.machine.device)
            given = answers.answer_all(model, tokenizer, [*rows, *asked], longest, data / "teacher-answers.jsonl", reporter)
            del model
            loading.free_memory()
        teaching.of_texts(asked, given[len(rows) :], teacher.key).write(data / teaching.FILE)
        if left_out := answers.taught_rows(rows, given[: len(rows)], taught):
            reporter.event(events.Warning(message=f"{plural(left_out, 'answer')} of the teacher did not end: left out"))
    also = replay.existing(data)
    tokens = encode.encode_file(
        taught, prepared.tokenizer, spec.data.train_on, data / "taught.tokens", reporter=reporter, replay=also
    )  # fmt: skip
    training = ResolvedTraining.model_validate({**spec.training.model_dump(mode="json"), "method": "sft"})
    return {"train": encode.limit(tokens, spec.data.max_length, spec.data.overlong), "training": training}


def _load(teacher: Teacher, device: str) -> Any:
    base = loading.load_base(teacher.model, device, teacher.base_model)
    return loading.attach_adapter(base, teacher.adapter) if teacher.adapter else base


def train_baseline(base: Any, prepared: Any, job: TrainingJob, folder: RunFolder, reporter: Reporter) -> None:
    """Train what the student is compared with: the same rows without the teacher. Nothing for other methods."""
    method = prepared.spec.training.method
    if isinstance(method, Distil) and method.baseline == "sft":
        from studio.training import baseline

        baseline.train(base, prepared.tokenizer, replace(job, train=prepared.train), folder.baseline, reporter)


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

    if not isinstance(prepared.spec.training.method, Distil):
        return report
    file = folder.data / teaching.FILE
    answers = teaching.TeacherAnswers.read(file) if file.exists() else None
    words, tokens = teacher.read(folder.data / f"{HELD_OUT}.teacher"), folder.data / f"{HELD_OUT}.tokens"
    if words is None or not tokens.exists():
        return teaching.beside(report, {}, answers)
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
    return teaching.beside(report, apart, answers)
