"""Questions for a cascade: read from files or a run, and refused where the run or the cascade has seen them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core.errors import DataError
from studio.core.text import plural

if TYPE_CHECKING:
    from studio.cascade.calibration import Kind
    from studio.cascade.questions import Question


@dataclass(frozen=True)
class Files:
    """Files of questions by where they come from."""

    held_out: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    out_of_scope: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.held_out or self.fresh or self.out_of_scope)


def read(files: Files, small: str, home: Path, system: str) -> list[Question]:
    """The questions of some files; without any, the run's held-out rows. system: for those without a system prompt."""
    from studio.cascade import questions
    from studio.data import prepare
    from studio.data.settings import Data

    found: list[Question] = []
    sources: tuple[tuple[tuple[str, ...], Kind], ...] = ((files.held_out, "held-out"), (files.fresh, "fresh"))
    for names, kind in sources:
        for name in names:
            file = str(Path(name).expanduser())
            found += questions.of_conversations(prepare.load_questions(file, Data(train=file)), kind)
    for name in files.out_of_scope:
        found += questions.read_unanswerable(Path(name).expanduser())
    if not files:
        found = questions.of_conversations(_rows(small, home, "held-out.jsonl"), "held-out")
    if not found:
        raise DataError(
            "there are no questions to calibrate on", hint="Name files of questions and answers: --held-out FILE.", where=small
        )
    return [_with_system(question, system) for question in found]


def _rows(small: str, home: Path, name: str) -> list[Any]:
    """The rows of a file in the data folder of a run, or of the run whose export it is; none for another model."""
    from studio.data import prepare
    from studio.runs import served_models

    run = served_models.run_of(small, home)
    return list(prepare.conversations(run.data / name)) if run is not None and (run.data / name).exists() else []


def _with_system(question: Question, system: str) -> Question:
    """The question under a system prompt, unless it has one of its own."""
    if not system or any(turn["role"] == "system" for turn in question.messages):
        return question
    return replace(question, messages=({"role": "system", "content": system}, *question.messages))


def refuse_trained(questions: Sequence[Question], small: str, home: Path) -> None:
    """Raise DataError for questions among the rows that the run was trained on."""
    from studio.cascade.questions import of_conversations

    trained = {item.key for item in of_conversations(_rows(small, home, "train.jsonl"), "held-out")}
    _refuse([item for item in questions if item.key in trained], "the run was trained on", "Use questions it has not seen.")


def refuse_known(questions: Sequence[Question], calibrated: Sequence[str]) -> None:
    """Raise DataError for questions that the cascade was calibrated on."""
    from studio.evaluation.overlap import normalise

    known = {normalise(question) for question in calibrated}
    both = [item for item in questions if normalise(item.text) in known]
    _refuse(both, "the cascade was calibrated on", "Test on questions that were not used for the calibration.")


def _refuse(questions: Sequence[Question], what: str, hint: str) -> None:
    if questions:
        raise DataError(
            f"{plural(len(questions), 'question')} {what}", hint=hint, where=f"{questions[0].file}:{questions[0].line}"
        )


def chosen_on(files: Files, small: str, home: Path) -> list[str]:
    """A warning where the calibration rows had a say in the training."""
    if files or not _rows(small, home, "held-out.jsonl"):
        return []
    return [
        "the run's held-out rows also chose its checkpoint: the small model looks slightly better on them than it is. "
        "Calibrate on separate questions with --held-out"
    ]
