"""A distilled student beside its teacher: how far each model is from it on the held-out rows, and what it answers itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from studio.core.records import Record
from studio.data.rows import Conversation
from studio.evaluation import parent
from studio.evaluation.answering import ask, longest_answer, questions, text_scores
from studio.evaluation.figures import compared
from studio.evaluation.interval import Draws, Ratio
from studio.evaluation.report import HELD_OUT, SFT, TEACHER, Answered, ModelAnswer, Report, SetReport
from studio.evaluation.settings import Evaluation
from studio.evaluation.sides import drawn
from studio.evaluation.tasks.choose import TASKS
from studio.evaluation.verdict import APART, decide
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from studio.data.render import TrainOn

FILE = "teacher-answers.json"


class TeacherAnswer(Record):
    """The teacher's answer to a held-out question."""

    question: str
    reference: str
    text: str
    tokens: int
    stopped: bool


class TeacherAnswers(Record):
    """teacher-answers.json of a run's data: what its teacher answers to the held-out rows, greedily."""

    label: ClassVar[str] = "answers of the teacher"
    remedy: ClassVar[str] = "Delete the file; the teacher is asked again when the run is resumed."

    key: str
    """What they depend on: the teacher."""
    answers: tuple[TeacherAnswer, ...]

    @classmethod
    def existing(cls, file: Path, key: str) -> TeacherAnswers | None:
        """Those of this teacher, if they are there."""
        present = cls.read(file) if file.exists() else None
        return present if present is not None and present.key == key else None


def answered(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Conversation],
    settings: Evaluation,
    seed: int,
    key: str,
    reporter: Reporter,
    train_on: TrainOn = "assistant",
) -> TeacherAnswers:
    """The teacher's answers to the held-out rows that the evaluation will ask."""
    asked = [item for item in questions(rows, tokenizer, train_on)[0] if item.prompt]
    chosen = [asked[index] for index in drawn(list(range(len(asked))), settings.max_rows, seed)]
    if not chosen:
        return TeacherAnswers(key=key, answers=())

    def progress(done: int, total: int) -> None:
        reporter.progress(done, total, "answer of the teacher")

    prompts, longest = [item.prompt for item in chosen], longest_answer(chosen, settings)
    given, _ = ask(model, tokenizer, prompts, longest, on_progress=progress, should_stop=reporter.should_stop)
    return TeacherAnswers(
        key=key,
        answers=tuple(
            TeacherAnswer(
                question=_question(item.conversation), reference=item.reference, text=answer.text, tokens=answer.tokens,
                stopped=bool(answer.stopped),
            )
            for item, answer in zip(chosen, given, strict=True)
        ),
    )  # fmt: skip


def asked_of(rows: Sequence[Conversation], settings: Evaluation, seed: int) -> list[int]:
    """The held-out rows that the evaluation asks, by index."""
    able = [index for index, row in enumerate(rows) if row.messages]
    return drawn(able, settings.max_rows, seed)


def of_texts(rows: Sequence[Conversation], texts: Sequence[Any], key: str) -> TeacherAnswers:
    """Answers of a teacher that were had as texts. texts: each with `text`, `tokens`, `stopped`."""
    answers = tuple(
        TeacherAnswer(question=_question(row), reference=row.answer, text=one.text, tokens=one.tokens, stopped=one.stopped)
        for row, one in zip(rows, texts, strict=True)
    )
    return TeacherAnswers(key=key, answers=answers)


def beside(report: Report, apart: Mapping[str, np.ndarray], teacher: TeacherAnswers | None) -> Report:
    """The report with its distances from the teacher, and with the teacher's own answers as a set of their own.

    apart: what `training.teacher.apart` found of the held-out rows, by what is compared: base, tuned and, if there is one, sft.
    """
    sets = [_with_distance(item, apart, report) for item in report.sets]
    main = next((item for item in sets if item.name == HELD_OUT), None)
    third = _teachers(main, teacher, report) if main and teacher else None
    sets += [third] if third else []
    return report.model_copy(update={"sets": sets, "verdict": decide(sets)})


def _with_distance(item: SetReport, apart: Mapping[str, np.ndarray], report: Report) -> SetReport:
    if item.name not in (HELD_OUT, f"{SFT}:{HELD_OUT}") or item.before not in apart or "tuned" not in apart:
        return item
    draws = Draws(apart["tuned"].shape[1], report.resamples, report.seed)

    def figure(index: int, bounds: tuple[float, float] | None = None) -> Callable[[str], Ratio]:
        extra: dict[str, Any] = {"bounds": bounds} if bounds else {}
        return lambda side: Ratio(apart[side][index], apart[side][2], **extra)

    found = {}
    for name, ratio in ((APART, figure(0)), ("same_choice", figure(1, (0.0, 1.0)))):
        found[name] = compared(ratio(item.before), ratio("tuned"), draws)
    return replace(item, metrics={**item.metrics, **found})


def _teachers(main: SetReport, teacher: TeacherAnswers, report: Report) -> SetReport | None:
    """The held-out rows, the teacher's answers before and the student's after."""
    scorer = TASKS[main.task].scorer([row.reference for row in main.answers])
    theirs = {(row.question, row.reference): row for row in teacher.answers}
    rows: list[Answered] = []
    for row in main.answers:
        own = theirs.get((row.question, row.reference))
        if own is not None:
            scores = {**scorer(row.reference, own.text), **text_scores(row.reference, own.text)}
            rows.append(replace(row, base=ModelAnswer(own.text, own.tokens, own.stopped, scores)))
    return parent.beside_set(main, rows, TEACHER, report)


def _question(row: Conversation) -> str:
    """What is asked last, as the report names it."""
    before = [message for message in row.prompt if message.get("role") != "system"]
    return str(before[-1].get("content") or "") if before else ""
