"""The report of one set of questions, from what base and tuned made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from studio.evaluation import reward
from studio.evaluation.answering import Question, text_scores
from studio.evaluation.cautions import LITTLE
from studio.evaluation.figures import Side, figures
from studio.evaluation.general import NAME as GENERAL
from studio.evaluation.general import TEXT
from studio.evaluation.metrics import BYTE_PERPLEXITY
from studio.evaluation.overlap import rouge_l, spoken, words
from studio.evaluation.report import Answered, Compared, ModelAnswer, SetReport
from studio.evaluation.reward import Rules
from studio.evaluation.settings import Evaluation
from studio.evaluation.tasks import labels, text
from studio.evaluation.tasks.choose import choose
from studio.evaluation.tasks.task import Scorer, Task

SHORT = 12
"""Words: where nine in ten references are no longer, an answer is right or wrong as a whole."""


def set_report(
    name: str,
    questions: Sequence[Question],
    answered: Sequence[int],
    before: Side,
    tuned: Side,
    settings: Evaluation,
    seed: int,
    *,
    longest: int,
    left_out: list[str],
    rules: Rules | None = None,
    against: str = "base",
    folds: int = 0,
) -> SetReport:
    """The figures of a set with their intervals. answered: the indices of the questions with an answer, which both sides hold
    in that order; against: what `before` is."""
    references = [questions[index].reference for index in answered]
    task = _task(references, name, settings)
    scorer = task.scorer(references)
    pairs = [_answered(questions[index], index, before, tuned, at, scorer, rules) for at, index in enumerate(answered)]
    metrics = figures(before, tuned, pairs, task, settings.resamples, seed)
    if rules and pairs:
        metrics = reward.figures(pairs, before.sampled, tuned.sampled, settings.resamples, seed) | metrics
    headline, why = _headline([item.reference for item in pairs], name, metrics, task)
    shown = [[getattr(pair, side).text for pair in pairs] for side in ("base", "tuned")]
    return SetReport(
        name=name if against == "base" else f"{against}:{name}",
        rows=len(questions),
        answers=pairs,
        metrics=metrics,
        headline=headline,
        why=why,
        max_new_tokens=longest,
        left_out=left_out,
        before=against,
        folds=folds,
        task=task.kind,
        confusion=labels.confusion([pair.reference for pair in pairs], *shown) if task.kind == "labels" else None,
        **_samples(pairs, settings.samples, headline),
    )


def _answered(
    question: Question, index: int, base: Side, tuned: Side, at: int, scorer: Scorer, rules: Rules | None
) -> Answered:
    sides = []
    for side in (base, tuned):
        answer, found = side.answers[at], side.likelihood
        loss = float(found.loss[index] / max(1.0, found.tokens[index]))
        scores = {**scorer(question.reference, answer.text), **text_scores(question.reference, answer.text), "loss": loss}
        if rules:
            scores |= rules.scores(answer, question.conversation.messages[-1])
        sides.append(ModelAnswer(answer.text, answer.tokens, bool(answer.stopped), scores))
    row = question.conversation
    before = [message for message in row.prompt if message.get("role") != "system"]
    asked = str(before[-1].get("content") or "") if before else ""
    return Answered(asked, question.reference, *sides, file=row.file, line=row.line, earlier=max(0, len(before) - 1))


def _task(references: list[str], name: str, settings: Evaluation) -> Task:
    """What the answers of a set are. The general questions are of every kind: they are read as text."""
    return choose(references, settings.task) if references and name != GENERAL else text.TASK


def _headline(references: list[str], name: str, metrics: Mapping[str, Compared], task: Task) -> tuple[str, str]:
    """The one metric to read first, and why: right or wrong where answers are short, likeness where they are long; on the
    general questions the likelihood where base has hardly any answer word for word, for then nothing could be lost."""
    if name == TEXT:
        return "perplexity", "the rows are only read: how likely the model finds them tells of forgetting at any level"
    if reward.REWARD in metrics:
        return reward.REWARD, "data.verifier says how an answer is scored"
    if not references:
        first = BYTE_PERPLEXITY if BYTE_PERPLEXITY in metrics else "loss"
        return first, "plain text has no questions to answer, so only its likelihood is measured"
    if task.metrics:
        return task.names[0], task.why
    long = float(np.quantile([len(words(spoken(reference))) for reference in references], 0.9))
    if long > SHORT:
        return "rouge_l", f"one reference in ten is longer than {SHORT} words: an answer may be right in other words, in part"
    if name == GENERAL and metrics["normalised_match"].base.value < LITTLE:
        return "perplexity", "base answers hardly any question in the reference's own words: how likely it finds them counts"
    if name == GENERAL:
        return "normalised_match", "references are short; case and punctuation are style, not knowledge"
    return "exact_match", f"nine in ten references have at most {SHORT} words: an answer is right or wrong as a whole"


def _samples(pairs: list[Answered], wanted: int, headline: str) -> dict[str, list[int]]:
    """Places of the best and worst answers of tuned and of the largest changes, most telling first."""

    first = headline if pairs and headline in pairs[0].tuned.scores and headline != "loss" else "exact_match"

    def score(answer: ModelAnswer) -> tuple[float, ...]:
        return answer.scores[first], answer.scores["exact_match"], answer.scores["rouge_l"], -answer.scores["loss"]

    def moved(pair: Answered) -> tuple[float, float]:
        return abs(pair.tuned.scores["rouge_l"] - pair.base.scores["rouge_l"]), -rouge_l(pair.base.text, pair.tuned.text)

    places = range(len(pairs))
    by_score = sorted(places, key=lambda index: score(pairs[index].tuned))
    by_change = sorted(places, key=lambda index: moved(pairs[index]), reverse=True)
    return {"best": by_score[::-1][:wanted], "worst": by_score[:wanted], "changed": by_change[:wanted]}
