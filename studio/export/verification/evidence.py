"""The run's own evidence again, on an artefact: what did the conversion cost?

The held-out rows that the evaluation had answered are put to the artefact in its own runtime, greedily and with the same
limit on tokens, and scored by the same metrics. What base + adapter answered was kept with the run, so every row is
compared with itself (paired), and the change has an interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core.errors import Stopped
from studio.core.text import plural
from studio.data.rows import Conversation
from studio.evaluation.answering import Question, questions, text_scores
from studio.evaluation.figures import of_answers
from studio.evaluation.interval import Draws, Ratio, change
from studio.evaluation.interval import Figure as Resampled
from studio.evaluation.metrics import METRICS, TEXT_METRICS
from studio.evaluation.report import HELD_OUT, Answered, Given, Report
from studio.evaluation.reward import REWARD
from studio.evaluation.tasks import text
from studio.evaluation.tasks.choose import TASKS
from studio.evaluation.tasks.task import Scorer, Task
from studio.export.verification.answers import LONGEST_PROMPT, POSITIONS, Runtime, surprise
from studio.export.verification.result import Check, ConversionCost, Figure, LostRow
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
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
    base: Given
    tuned: Given


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

    @property
    def scorer(self) -> Scorer:
        """The figures of the task, as the evaluation took them."""
        return self.task.scorer(self.references)

    @property
    def room(self) -> int:
        """Tokens a runtime must hold for the longest row and its answer."""
        return max(max(len(row.ids), len(row.prompt) + self.longest) for row in self.rows)


def select_rows(report: Report, conversations: Sequence[Conversation], tokenizer: Any, train_on: TrainOn) -> Evidence | None:
    """The rows of a run's evaluation that are asked again, spread evenly over those it answered.

    conversations: the run's held-out rows in the order of their file. None where the evaluation answered none (plain text
    has no questions): the KL of the verification is the whole evidence then.
    """
    found = report.set(HELD_OUT)
    if not found or not found.answers:
        return None
    asked, _ = questions(conversations, tokenizer, train_on)
    rows = [_row(question, answer) for question, answer in _pairs(asked, found.answers)]
    fitting = [row for row in rows if len(row.prompt) <= LONGEST_PROMPT and len(row.ids) <= LONGEST_PROMPT + POSITIONS]
    if not fitting:
        return None
    usual = sum(row.tuned.tokens for row in fitting) / len(fitting)
    wanted = min(len(fitting), max(LEAST, min(ROWS, int(TOKENS / max(usual, 1)))))
    places = np.linspace(0, len(fitting) - 1, wanted).round().astype(int)
    references = tuple(answer.reference for answer in found.answers)
    chosen = [fitting[place] for place in places]
    headline = "token_f1" if found.headline == REWARD else found.headline  # an artifact's answers have no rewards
    return Evidence(chosen, headline, found.max_new_tokens, len(found.answers), TASKS[found.task], references)


def measure(asked: Runtime, tokenizer: Any, wanted: Evidence, reporter: Reporter) -> ConversionCost:
    """Ask an artefact the rows and score it. Raises Stopped if the run was asked to stop."""
    given = list(_answers(asked, tokenizer, wanted, reporter))
    base, tuned = [row.base for row in wanted.rows], [row.tuned for row in wanted.rows]
    weights = np.array([len(row.positions) for row in wanted.rows], np.float64)
    names = [
        name
        for name in (*wanted.task.names, *TEXT_METRICS, "loss", "answer_tokens", "stop_rate")
        if name != "loss" or _has_loss(given)
    ]
    references = [row.reference for row in wanted.rows]
    figures = {name: _figure(name, base, tuned, given, weights, references) for name in names}
    return ConversionCost(
        rows=len(given),
        answered=wanted.answered,
        headline=wanted.headline,
        max_new_tokens=wanted.longest,
        sentence=_sentence(wanted.headline, figures[wanted.headline]),
        metrics=figures,
        lost=_lost(wanted, given),
    )


def check(cost: ConversionCost, allowed: float | None) -> Check:
    """The evidence as a check. allowed: how far below nought the whole interval of the change may lie; None: not judged."""
    found = cost.metrics[cost.headline].change
    judged = allowed is not None and METRICS[cost.headline].better == "higher"
    failed = judged and found.high is not None and found.high < -float(allowed or 0)
    rule = f"; fails where the whole interval lies below {_points(-float(allowed or 0))}" if judged else "; not judged"
    return Check("evidence", found.value, -float(allowed or 0) if judged else None, not failed, cost.sentence + rule)


def _pairs(asked: Sequence[Question], answered: Sequence[Answered]) -> Iterator[tuple[Question, Answered]]:
    """Each kept answer with its row; two alike answers of one line are told apart by their order, which both keep."""
    waiting: dict[tuple[str, int, str], list[Question]] = {}
    for question in reversed(asked):
        row = question.conversation
        waiting.setdefault((row.file, row.line, question.reference), []).append(question)
    for answer in answered:
        found = waiting.get((answer.file, answer.line, answer.reference))
        if found:
            yield found.pop(), answer


def _row(question: Question, answer: Answered) -> Row:
    positions = [place for place in range(len(question.ids) - 1) if question.mask[place + 1]]
    ids = [int(token) for token in question.ids]
    return Row(answer.question, answer.reference, question.prompt, ids, positions, answer.base, answer.tuned)


def _answers(asked: Runtime, tokenizer: Any, wanted: Evidence, reporter: Reporter) -> Iterator[Given]:
    from studio.models.generation import read

    rows, scorer = wanted.rows, wanted.scorer
    for start in range(0, len(rows), AT_ONCE):
        if reporter.should_stop():
            raise Stopped
        reporter.progress(start, len(rows), "the run's evidence again")
        part = rows[start : start + AT_ONCE]
        for row, (ids, ended) in zip(part, asked.greedy([row.prompt for row in part], wanted.longest), strict=True):
            text, _ = read(ids, tokenizer)
            scores = {**scorer(row.reference, text), **text_scores(row.reference, text)}
            if len(row.positions) <= POSITIONS:
                logits = asked.logits(row.ids, row.positions)
                scores["loss"] = surprise(logits, [row.ids[place + 1] for place in row.positions])
            yield Given(text, len(ids) + ended, ended, scores)
    reporter.progress(len(rows), len(rows), "the run's evidence again")


def _has_loss(given: Sequence[Given]) -> bool:
    return all("loss" in answer.scores for answer in given)


def _figure(
    name: str,
    base: Sequence[Given],
    tuned: Sequence[Given],
    given: Sequence[Given],
    weights: np.ndarray[Any, Any],
    references: Sequence[str],
) -> Figure:
    before, kept, now = (_resampled(name, side, weights, references) for side in (base, tuned, given))
    return Figure(before.value, kept.value, now.value, change(kept, now, Draws(len(given), _RESAMPLES, _SEED)))


def _resampled(name: str, given: Sequence[Given], weights: np.ndarray[Any, Any], references: Sequence[str]) -> Resampled:
    if name == "loss":
        return Ratio(np.array([answer.scores["loss"] for answer in given], np.float64) * weights, weights)
    return of_answers(name, given, references)


def _sentence(headline: str, found: Figure) -> str:
    metric = METRICS[headline]
    interval = f"{metric.show_change(found.change.value)}, 95 % interval {metric.show_interval(found.change, change=True)}"
    rows, tuned, here = plural(found.change.rows, "held-out row"), metric.show(found.tuned), metric.show(found.artifact)
    return f"{metric.label} on {rows}: {tuned} with base + adapter, {here} here ({interval})"


def _lost(wanted: Evidence, given: Sequence[Given]) -> list[LostRow]:
    """The rows that lost most, the worst first."""
    name = wanted.headline if wanted.headline in wanted.rows[0].tuned.scores and wanted.headline != "loss" else "rouge_l"
    losses = [row.tuned.scores[name] - answer.scores[name] for row, answer in zip(wanted.rows, given, strict=True)]
    worst = sorted((place for place, loss in enumerate(losses) if loss > 0), key=lambda place: -losses[place])[:SHOWN]
    rows = wanted.rows
    return [LostRow(rows[place].question, rows[place].reference, rows[place].tuned.text, given[place].text) for place in worst]


def _points(value: float) -> str:
    return f"{value * 100:+.0f} points"
