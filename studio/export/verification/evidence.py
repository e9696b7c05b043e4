"""The run's own evidence again, on an artefact: what did the conversion cost?

The held-out rows that the evaluation had answered are put to the artefact in its own runtime, greedily and with the same
limit on tokens, and scored by the same metrics. What base + adapter answered was kept with the run, so every row is
compared with itself (paired), and the change has an interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.errors import Stopped
from studio.data.rows import Conversation
from studio.evaluation.answering import Question, questions, text_scores
from studio.evaluation.figures import of_answers
from studio.evaluation.general import NAME as GENERAL
from studio.evaluation.general import TEXT
from studio.evaluation.interval import Draws, Ratio, change
from studio.evaluation.interval import Figure as Resampled
from studio.evaluation.metrics import METRICS, TEXT_METRICS
from studio.evaluation.report import ALSO, HELD_OUT, Answered, ModelAnswer, Report, SetReport
from studio.evaluation.reward import REWARD
from studio.evaluation.tasks import text
from studio.evaluation.tasks.choose import TASKS
from studio.evaluation.tasks.task import Scorer, Task
from studio.export.verification import stated, wording
from studio.export.verification.answers import LONGEST_PROMPT, POSITIONS, Runtime, surprise
from studio.export.verification.result import FORGETTING, Check, ConversionCost, Figure, LostRow
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase as Tokenizer

    from studio.data.render import TrainOn

ROWS = 64
"""At most so many rows are answered again. A share measured on 64 pairs of which one in twenty changed has an interval of
about five points either way: enough to see what judging looks for, and a third of the time of the evaluation."""
TOKENS = 8192
"""Fewer rows where answers are long: together about so many tokens are generated, ..."""
LEAST = 12
"""... but never fewer rows than this, if there are as many."""
AT_ONCE = 16
"""Rows asked between two looks at whether the run should stop."""
SHOWN = 5
"""Rows that lost most, kept in the manifest."""
_RESAMPLES, _SEED = 1000, 0


@dataclass(frozen=True)
class Row:
    """One held-out row as it was asked. prompt: ids up to the answer; ids and positions: the row and where its answers are."""

    question: str
    reference: str
    prompt: list[int]
    ids: list[int]
    positions: list[int]
    base: ModelAnswer | None = None
    tuned: ModelAnswer | None = None
    """None where no report keeps what base + adapter answered: they are asked first."""
    index: int = 0
    """Of the answer among the report's."""


@dataclass(frozen=True)
class Evidence:
    """What the evaluation measured, ready to be measured again.

    headline: the metric its verdict reads. longest: tokens an answer may take. answered: rows the evaluation answered. task
    and references: what all its answers are, for the figures that fit them.
    """

    rows: list[Row]
    headline: str
    longest: int
    answered: int
    task: Task = text.TASK
    references: tuple[str, ...] = ()
    name: str = HELD_OUT
    reads: bool = False
    """The rows are only read, as general text is."""

    @property
    def scorer(self) -> Scorer:
        """The figures of the task, as the evaluation took them."""
        return self.task.scorer(self.references)

    @property
    def known(self) -> bool:
        """Whether it is known of every row what base and base + adapter answered."""
        return all(row.base and row.tuned for row in self.rows)

    def with_given(self, base: Sequence[ModelAnswer], tuned: Sequence[ModelAnswer]) -> Evidence:
        """The set with what base and base + adapter answered."""
        rows = [replace(row, base=one, tuned=two) for row, one, two in zip(self.rows, base, tuned, strict=True)]
        return replace(self, rows=rows)

    def within(self, context: int) -> Evidence | None:
        """Those of its rows that a cache of so many tokens holds; None without any."""
        rows = [row for row in self.rows if len(row.ids) <= context]
        return replace(self, rows=rows) if rows else None

    @property
    def tokens_needed(self) -> int:
        """Tokens a runtime must hold for the longest row and its answer."""
        return max(max(len(row.ids), len(row.prompt) + self.longest) for row in self.rows)


def select_rows(
    report: Report, conversations: Sequence[Conversation], tokenizer: Tokenizer, train_on: TrainOn
) -> Evidence | None:
    """The rows of a run's evaluation that are asked again, spread evenly over those it answered.

    conversations: the run's held-out rows in the order of their file; after a cross-validation, whose answers are those of
    other models, all its rows. None where none was answered, as of plain text: the KL of the verification is the evidence then.
    """
    found = report.unseen
    return _selected(found, conversations, tokenizer, train_on, known=not found.folds) if found and found.answers else None


def select_general(
    report: Report, rows: Mapping[str, Sequence[Conversation]], tokenizer: Tokenizer, train_on: TrainOn
) -> list[Evidence]:
    """The sets beside the one that decides: `evaluation.also`, then the forgetting check. rows: by the names of the sets."""
    also = [part for part in report.sets if part.name.startswith(ALSO) and part.answers and part.name in rows]
    found = [_selected(part, rows[part.name], tokenizer, train_on, known=True) for part in also if part.before == "base"]
    sets = {item.name: item for item in report.sets}
    asked, read = sets.get(GENERAL), sets.get(TEXT)
    if asked and asked.answers and GENERAL in rows:
        found.append(_selected(asked, rows[GENERAL], tokenizer, train_on, known=True))
    if read and TEXT in rows:
        texts = [_positioned(question) for question in questions(rows[TEXT], tokenizer, train_on)[0]]
        kept = [Row("", "", [], ids, positions) for ids, positions in texts if 0 < len(positions) <= POSITIONS]
        if kept:
            found.append(Evidence(kept, "perplexity", 0, len(kept), name=TEXT, reads=True))
    return [item for item in found if item is not None]


def _selected(
    part: SetReport, conversations: Sequence[Conversation], tokenizer: Tokenizer, train_on: TrainOn, known: bool
) -> Evidence | None:
    """The answered rows of a set that are asked again. known: the answers are those of base + adapter."""
    asked, _ = questions(conversations, tokenizer, train_on)
    rows = [_row(question, answer, place) for question, place, answer in _pairs(asked, part.answers)]
    fitting = [row for row in rows if len(row.prompt) <= LONGEST_PROMPT and len(row.ids) <= LONGEST_PROMPT + POSITIONS]
    if not fitting:
        return None
    usual = sum(row.tuned.tokens for row in fitting if row.tuned) / len(fitting)
    wanted = min(len(fitting), max(LEAST, min(ROWS, int(TOKENS / max(usual, 1)))))
    places = np.linspace(0, len(fitting) - 1, wanted).round().astype(int)
    references = tuple(answer.reference for answer in part.answers)
    chosen = [fitting[place] if known else replace(fitting[place], base=None, tuned=None) for place in places]
    headline = "token_f1" if part.headline == REWARD else part.headline  # an artifact's answers have no rewards
    return Evidence(chosen, headline, part.max_new_tokens, len(part.answers), TASKS[part.task], references, part.name)


def measure(runtime: Runtime, tokenizer: Tokenizer, wanted: Evidence, reporter: Reporter) -> ConversionCost:
    """Ask an artefact the rows and score it. Raises Stopped if the run was asked to stop."""
    said = ask_rows(runtime, tokenizer, wanted, reporter)
    base, tuned = [row.base for row in wanted.rows if row.base], [row.tuned for row in wanted.rows if row.tuned]
    weights = np.array([len(row.positions) for row in wanted.rows], np.float64)
    if wanted.headline in ("loss", "perplexity") and not _has_loss(said):  # a row that is longer than what is compared
        wanted = replace(wanted, headline="token_f1")
    of_loss = ("loss", "perplexity") if wanted.headline == "perplexity" else ("loss",)
    of_text = () if wanted.reads else (*wanted.task.names, *TEXT_METRICS)
    names = [*of_text, *(of_loss if _has_loss(said) else ()), *(() if wanted.reads else ("answer_tokens", "stop_rate"))]
    references = [row.reference for row in wanted.rows]
    figures = {name: _figure(name, base, tuned, said, weights, references) for name in names}
    same = None if wanted.reads else sum(one.text == two.text for one, two in zip(tuned, said, strict=True))
    sentence = wording.sentence(wanted.name, wanted.headline, figures, same)
    return ConversionCost(
        rows=len(said),
        answered=wanted.answered,
        headline=wanted.headline,
        max_new_tokens=wanted.longest,
        sentence=sentence + stated.sentence(wanted.headline, wanted.rows, said),
        metrics=figures,
        lost=[] if wanted.name in FORGETTING else _lost(wanted, said),
        set=wanted.name,
        forgot=wording.forgotten(wanted.headline, figures) if wanted.name in FORGETTING else [],
        indices=[] if wanted.reads else [row.index for row in wanted.rows],
        answers=[] if wanted.reads else [answer.text for answer in said],
        tuned_answers=[] if wanted.reads else [answer.text for answer in tuned],
    )


def ask_rows(runtime: Runtime, tokenizer: Tokenizer, wanted: Evidence, reporter: Reporter) -> list[ModelAnswer]:
    """A model's answers to the rows, with their scores. Raises Stopped."""
    return list(_read(runtime, wanted, reporter) if wanted.reads else _answers(runtime, tokenizer, wanted, reporter))


def check(cost: ConversionCost, allowed: float | None) -> Check:
    """The evidence as a check. allowed: how far below nought the whole interval of the change may lie; None: not judged."""
    found = cost.metrics[cost.headline].change
    judged = allowed is not None and METRICS[cost.headline].better == "higher"
    failed = judged and found.high is not None and found.high < -float(allowed or 0)
    rule = f"; fails where the whole interval lies below {_points(-float(allowed or 0))}" if judged else "; not judged"
    return Check("evidence", found.value, -float(allowed or 0) if judged else None, not failed, cost.sentence + rule)


def shown(cost: ConversionCost) -> Check:
    """What the artifact forgot, as a figure that makes it lose some and never fail."""
    return Check(cost.set, cost.metrics[cost.headline].change.value, None, True, cost.sentence)


def _pairs(questions: Sequence[Question], answered: Sequence[Answered]) -> Iterator[tuple[Question, int, Answered]]:
    """Each kept answer with its row; two alike answers of one line are told apart by their order, which both keep."""
    waiting: dict[tuple[str, int, str], list[Question]] = {}
    for question in reversed(questions):
        row = question.conversation
        waiting.setdefault((row.file, row.line, question.reference), []).append(question)
    for place, answer in enumerate(answered):
        found = waiting.get((answer.file, answer.line, answer.reference))
        if found:
            yield found.pop(), place, answer


def _row(question: Question, answer: Answered, index: int) -> Row:
    ids, positions = _positioned(question)
    return Row(answer.question, answer.reference, question.prompt, ids, positions, answer.base, answer.tuned, index)


def _positioned(question: Question) -> tuple[list[int], list[int]]:
    """The ids of a row, and the places whose next token is an answer's."""
    positions = [place for place in range(len(question.ids) - 1) if question.mask[place + 1]]
    return [int(token) for token in question.ids], positions


def _read(runtime: Runtime, wanted: Evidence, reporter: Reporter) -> Iterator[ModelAnswer]:
    for done, row in enumerate(wanted.rows):
        if reporter.should_stop():
            raise Stopped
        reporter.progress(done, len(wanted.rows), "general text again")
        yield ModelAnswer("", 0, True, {"loss": _loss(runtime, row)})


def _loss(runtime: Runtime, row: Row) -> float:
    return surprise(runtime.logits(row.ids, row.positions), [row.ids[place + 1] for place in row.positions])


def _answers(runtime: Runtime, tokenizer: Tokenizer, wanted: Evidence, reporter: Reporter) -> Iterator[ModelAnswer]:
    from studio.models.generation import read

    rows, scorer = wanted.rows, wanted.scorer
    what = "the general questions again" if wanted.name == GENERAL else "the run's evidence again"
    for start in range(0, len(rows), AT_ONCE):
        if reporter.should_stop():
            raise Stopped
        reporter.progress(start, len(rows), what)
        part = rows[start : start + AT_ONCE]
        for row, (ids, ended) in zip(part, runtime.greedy([row.prompt for row in part], wanted.longest), strict=True):
            text, _ = read(ids, tokenizer)
            scores = {**scorer(row.reference, text), **text_scores(row.reference, text)}
            if len(row.positions) <= POSITIONS:
                scores["loss"] = _loss(runtime, row)
            yield ModelAnswer(text, len(ids) + ended, ended, scores)
    reporter.progress(len(rows), len(rows), what)


def _has_loss(answers: Sequence[ModelAnswer]) -> bool:
    return all("loss" in answer.scores for answer in answers)


def _figure(
    name: str,
    base: Sequence[ModelAnswer],
    tuned: Sequence[ModelAnswer],
    answers: Sequence[ModelAnswer],
    weights: np.ndarray[Any, Any],
    references: Sequence[str],
) -> Figure:
    before, kept, now = (_resampled(name, side, weights, references) for side in (base, tuned, answers))
    return Figure(before.value, kept.value, now.value, change(kept, now, Draws(len(answers), _RESAMPLES, _SEED)))


def _resampled(
    name: str, answers: Sequence[ModelAnswer], weights: np.ndarray[Any, Any], references: Sequence[str]
) -> Resampled:
    if name in ("loss", "perplexity"):
        finish = np.exp if name == "perplexity" else None
        return Ratio(np.array([answer.scores["loss"] for answer in answers], np.float64) * weights, weights, finish=finish)
    return of_answers(name, answers, references)


def _lost(wanted: Evidence, answers: Sequence[ModelAnswer]) -> list[LostRow]:
    """The rows that lost most, the worst first."""
    name = wanted.headline if wanted.headline in answers[0].scores and wanted.headline != "loss" else "rouge_l"
    kept = [row.tuned for row in wanted.rows if row.tuned]
    losses = [tuned.scores[name] - answer.scores[name] for tuned, answer in zip(kept, answers, strict=True)]
    worst = sorted((index for index, loss in enumerate(losses) if loss > 0), key=lambda index: -losses[index])[:SHOWN]
    rows = wanted.rows
    return [LostRow(rows[index].question, rows[index].reference, kept[index].text, answers[index].text) for index in worst]


def _points(value: float) -> str:
    return f"{value * 100:+.0f} points"
