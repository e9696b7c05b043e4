"""The sets of questions that a run's evidence is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from studio.data import prepare
from studio.data.curation import references
from studio.data.rows import Conversation
from studio.data.settings import Data
from studio.evaluation import general
from studio.evaluation.report import ALSO, HELD_OUT
from studio.evaluation.reward import Rules
from studio.evaluation.settings import Evaluation


@dataclass(frozen=True)
class QuestionSet:
    """Rows to compare on. name: `held-out` (the first decides the verdict), `also:fresh.jsonl`, `general`, or
    `general-text`, whose rows are scored and not answered. rules: how answers are scored, if the data say so."""

    name: str
    rows: list[Conversation]
    rules: Rules | None = None


def question_sets(
    held_out: list[Conversation], evaluation: Evaluation, data: Data, base: str, home: Path, cross_validated: bool = False
) -> list[QuestionSet]:
    """The held-out rows, further question files and the general set. home: where the datasets are that are named.

    cross_validated: the run's rows are evidence without any of them being held out.
    """
    sets, rules = [], Rules.of(data)
    held_out = [row for row in held_out if row.good is not False]
    if held_out:
        sets.append(QuestionSet(HELD_OUT, held_out, rules))
    for name in evaluation.also:
        for file in references.files_of(name, home, "evaluation.also"):
            rows = prepare.load_questions(file, references.settings_of(name, data, home))
            sets.append(QuestionSet(f"{ALSO}{Path(file).stem}", rows, rules))
    measured = bool(sets) or cross_validated
    if measured and evaluation.general == "builtin":
        sets.append(QuestionSet(general.NAME, general.builtin(base)))
        if base != "starter":  # it was trained on nothing but its own small world
            sets.append(QuestionSet(general.TEXT, general.text()))
    elif measured and evaluation.general != "off":
        for file in references.files_of(evaluation.general, home, "evaluation.general"):
            rows = prepare.load_questions(file, references.settings_of(evaluation.general, data, home))
            sets.append(QuestionSet(general.NAME, rows))
    return sets
