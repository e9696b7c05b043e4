"""Cross-validation: every row is answered by a model that was not trained on it, and all of them are one set of questions.

For a small dataset: ten held-out rows decide nothing, a hundred rows of which each is held out once may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from studio.core.errors import EvaluationError
from studio.core.records import Record
from studio.core.text import count
from studio.data import folds as parts
from studio.data.rows import Conversation
from studio.evaluation.answering import Question, longest_answer, questions
from studio.evaluation.figures import Side
from studio.evaluation.likelihood import Likelihood
from studio.evaluation.reading import sizes
from studio.evaluation.report import CROSS_VALIDATED, SetReport
from studio.evaluation.set_report import set_report
from studio.evaluation.sets import QuestionSet
from studio.evaluation.settings import Evaluation
from studio.evaluation.sides import SetProgress, adapter_off, drawn, fitting, one_side
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

    from studio.data.render import TrainOn


class FoldAnswer(Record):
    """An answer: its text, tokens generated, and whether it ended by itself."""

    text: str
    tokens: int
    stopped: bool


class Losses(Record):
    """Per row: negative log-likelihood in nats, tokens that were the first choice, and tokens counted."""

    loss: tuple[float, ...]
    right: tuple[float, ...]
    tokens: tuple[float, ...]


class FoldSide(Record):
    """What one model made of the rows of a fold."""

    losses: Losses
    answers: tuple[FoldAnswer, ...] = ()
    rejected: Losses | None = None


class FoldRecord(Record):
    """A measured fold; `evaluation/folds/<n>/measured.json`."""

    label: ClassVar[str] = "measured fold"
    remedy: ClassVar[str] = "Delete the fold's folder and resume the run."

    asked: tuple[int, ...]
    """Indices of its rows among those that can be measured."""
    answered: tuple[int, ...]
    """Those of them that were answered."""
    base: FoldSide
    tuned: FoldSide


@dataclass(frozen=True)
class CrossValidation:
    """The rows as questions, and the fold of each. rows: that of every row of the training file, measurable or not."""

    rows: list[int]
    questions: list[Question]
    folds: list[int]
    """Of each question."""
    answered: list[int]
    longest: int
    left_out: list[str]
    settings: Evaluation
    seed: int

    @property
    def count(self) -> int:
        """How many folds there are."""
        return self.settings.folds

    def measure(self, fold: int, model: nn.Module, tokenizer: PreTrainedTokenizerBase, reporter: Reporter) -> FoldRecord:
        """Base and tuned on the rows of a fold; model: a PeftModel that was trained on the others."""
        chosen = [index for index, of in enumerate(self.folds) if of == fold]
        asked = [self.questions[index] for index in chosen]
        wanted = [index for index in self.answered if self.folds[index] == fold]
        within = [chosen.index(index) for index in wanted]
        watch = SetProgress(reporter, [QuestionSet(CROSS_VALIDATED, [item.conversation for item in asked])], self.settings)
        watch.timed("base")  # answers are timed on no fold
        watch.timed("tuned")
        what = f"fold {fold + 1} of {self.count}"
        model.eval()
        with adapter_off(model):
            base = one_side(model, tokenizer, asked, within, self.longest, watch, f"base on {what}")
        tuned = one_side(model, tokenizer, asked, within, self.longest, watch, f"tuned on {what}")
        return FoldRecord(asked=tuple(chosen), answered=tuple(wanted), base=_record(base), tuned=_record(tuned))

    def report(self, measured: Sequence[FoldRecord]) -> SetReport:
        """All folds as one set of questions."""
        base, tuned = (self._side([getattr(item, side) for item in measured], measured) for side in ("base", "tuned"))
        return set_report(
            CROSS_VALIDATED, self.questions, self.answered, base, tuned, self.settings, self.seed,
            longest=self.longest, left_out=self.left_out, folds=self.count,
        )  # fmt: skip

    def _side(self, sides: Sequence[FoldSide], measured: Sequence[FoldRecord]) -> Side:
        asked = [index for item in measured for index in item.asked]
        given = {
            index: answer
            for item, side in zip(measured, sides, strict=True)
            for index, answer in zip(item.answered, side.answers, strict=True)
        }
        others = [side.rejected for side in sides if side.rejected is not None]
        rejected = _joined(others, asked) if len(others) == len(sides) else None
        return Side(
            _joined([side.losses for side in sides], asked),
            [given[index] for index in self.answered],
            None,
            rejected,
            bytes=sizes(self.questions),
        )


def prepare(
    rows: Sequence[Conversation],
    tokenizer: PreTrainedTokenizerBase,
    settings: Evaluation,
    *,
    seed: int,
    train_on: TrainOn,
    max_length: int,
    reporter: Reporter | None = None,
) -> CrossValidation:
    """The folds of the rows of a training file. Raises DataError for fewer questions than folds, EvaluationError if none of
    the rows can be measured."""
    of_row = parts.folds(rows, settings.folds, seed, reporter)
    fold = {id(row): number for row, number in zip(rows, of_row, strict=True)}
    asked, refused = questions(rows, tokenizer, train_on)
    asked, too_long = fitting(asked, max_length)
    left_out = refused + too_long
    if not asked:
        raise EvaluationError(
            f"none of the {count(len(rows))} rows can be measured: {left_out[0]}",
            hint="Raise data.max_length, or give rows with shorter prompts and an answer each.",
        )
    answered = drawn([index for index, item in enumerate(asked) if item.prompt], settings.max_rows, seed)
    longest = longest_answer(asked, settings) if answered else 0
    return CrossValidation(
        of_row, asked, [fold[id(item.conversation)] for item in asked], answered, longest, left_out, settings, seed
    )


def _record(side: Side) -> FoldSide:
    answers = tuple(FoldAnswer(text=given.text, tokens=given.tokens, stopped=bool(given.stopped)) for given in side.answers)
    rejected = _losses(side.rejected) if side.rejected is not None else None
    return FoldSide(losses=_losses(side.likelihood), answers=answers, rejected=rejected)


def _losses(likelihood: Likelihood) -> Losses:
    return Losses(loss=tuple(likelihood.loss), right=tuple(likelihood.right), tokens=tuple(likelihood.tokens))


def _joined(losses: Sequence[Losses], indices: Sequence[int]) -> Likelihood:
    """The likelihood of all rows in their order. indices: the place of each as the folds have them, one after the other."""
    order = np.argsort(np.array(indices))
    return Likelihood(
        *(np.concatenate([getattr(item, name) for item in losses])[order] for name in ("loss", "right", "tokens"))
    )
