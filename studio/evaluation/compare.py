"""Base against tuned: the same model with its adapter off and on, on the same rows, with intervals on every change."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from studio.core import events
from studio.core.errors import EvaluationError
from studio.core.text import count
from studio.evaluation import reward
from studio.evaluation.answering import Question, ask, longest_answer, questions, speed, text_scores
from studio.evaluation.figures import Side, figures
from studio.evaluation.general import NAME as GENERAL
from studio.evaluation.general import TEXT
from studio.evaluation.likelihood import likelihood
from studio.evaluation.overlap import rouge_l, spoken, words
from studio.evaluation.report import START, Answered, Compared, Given, Report, SetReport, Speed
from studio.evaluation.reward import Rules
from studio.evaluation.sets import QuestionSet
from studio.evaluation.settings import Evaluation
from studio.evaluation.tasks import labels, text
from studio.evaluation.tasks.choose import choose
from studio.evaluation.tasks.task import Scorer, Task
from studio.evaluation.verdict import LITTLE, decide
from studio.tracking.reporter import Reporter, Silent

if TYPE_CHECKING:
    from studio.data.render import TrainOn

HELD_OUT = "held-out"
"""The name of the set that decides the verdict."""

SHORT = 12
"""Words: where nine in ten references are no longer, an answer is right or wrong as a whole."""


def compare(
    model: Any,
    tokenizer: Any,
    sets: list[QuestionSet],
    settings: Evaluation,
    *,
    seed: int,
    reporter: Reporter | None = None,
    train_on: TrainOn = "assistant",
    max_length: int | None = None,
    start: Path | None = None,
) -> Report:
    """Measure base and tuned on each set.

    model: a PeftModel; its base is the same weights with the adapter off. The loss is taken over all rows, answers over at
    most settings.max_rows of them (drawn by seed). Rows longer than max_length tokens (None: the model's own limit) are
    left out and listed. start: the adapter that the run trained further; the first and the general set are then measured
    against it, too. Raises EvaluationError if nothing can be measured, Stopped if the reporter asks.
    """
    watch = _Watch(reporter or Silent(), sets, settings)
    training = model.training
    model.eval()
    if start is not None:
        from studio.models.loading import attach_adapter

        attach_adapter(model, start, START)
        model.set_adapter("default")
    try:
        measured = [
            _measure(
                model,
                tokenizer,
                item,
                settings,
                seed,
                watch,
                train_on,
                max_length,
                start is not None and item.name in (HELD_OUT, GENERAL, TEXT),
            )
            for item in sets
            if item.rows
        ]
    finally:
        if start is not None:
            model.delete_adapter(START)
        model.train(training)
    found = [part for part in measured if part]
    reports = [report for report, *_ in found]
    reports += [report for *_, report in found if report]
    return Report(
        sets=reports,
        verdict=decide(reports),
        device=_device(model),
        resamples=settings.resamples,
        seed=seed,
        speed=next((rates for _, rates, _ in found if rates), {}),
    )


def _measure(
    model: Any,
    tokenizer: Any,
    wanted: QuestionSet,
    settings: Evaluation,
    seed: int,
    watch: _Watch,
    train_on: TrainOn,
    max_length: int | None,
    with_start: bool,
) -> tuple[SetReport, dict[str, Speed], SetReport | None] | None:
    """One set, base then tuned, and the set against the start; None if no row of a set beside the first can be measured."""
    asked, refused = questions(wanted.rows, tokenizer, train_on)
    asked, too_long = _fitting(asked, max_length or _limit(model))
    left_out = refused + too_long
    for reason in left_out:
        watch.reporter.event(events.Warning(message=f"left out of the evaluation: {reason}"))
    if not asked and wanted.name == HELD_OUT:
        raise EvaluationError(
            f"none of the {count(len(wanted.rows))} held-out rows can be measured: {left_out[0]}",
            hint="Raise data.max_length, or give rows with shorter prompts and an answer each.",
        )
    if not asked:
        return None
    to_answer = [] if wanted.name == TEXT else [place for place, item in enumerate(asked) if item.prompt]
    answered = _drawn(to_answer, settings.max_rows, seed)
    longest = longest_answer(asked, settings, wanted.name != HELD_OUT) if answered else 0
    task = _task([asked[place].reference for place in answered], wanted.name, settings)
    scorer = task.scorer([asked[place].reference for place in answered])
    with _adapter_off(model):
        base = _one_side(model, tokenizer, asked, answered, longest, watch, f"base on {wanted.name}", wanted.rules)
    tuned = _one_side(model, tokenizer, asked, answered, longest, watch, f"tuned on {wanted.name}", wanted.rules)

    def reported(before: Side, name: str) -> SetReport:
        pairs = [_answered(asked[place], place, before, tuned, at, scorer, wanted.rules) for at, place in enumerate(answered)]
        metrics = figures(before, tuned, pairs, task, settings.resamples, seed)
        if wanted.rules and pairs:
            metrics = reward.figures(pairs, before.sampled, tuned.sampled, settings.resamples, seed) | metrics
        headline, why = _headline([item.reference for item in pairs], wanted.name, metrics, task)
        shown = [[getattr(pair, side).text for pair in pairs] for side in ("base", "tuned")]
        return SetReport(
            name=wanted.name if name == "base" else f"{name}:{wanted.name}",
            rows=len(asked),
            answers=pairs,
            metrics=metrics,
            headline=headline,
            why=why,
            max_new_tokens=longest,
            left_out=left_out,
            before=name,
            task=task.kind,
            confusion=labels.confusion([pair.reference for pair in pairs], *shown) if task.kind == "labels" else None,
            **_samples(pairs, settings.samples, headline),
        )

    against = None
    if with_start:
        model.set_adapter(START)
        side = _one_side(model, tokenizer, asked, answered, longest, watch, f"start on {wanted.name}", wanted.rules)
        model.set_adapter("default")
        against = reported(side, START)
    speeds = {"base": base.speed, "tuned": tuned.speed}
    return reported(base, "base"), {name: value for name, value in speeds.items() if value}, against


def _one_side(
    model: Any,
    tokenizer: Any,
    asked: list[Question],
    answered: list[int],
    longest: int,
    watch: _Watch,
    what: str,
    rules: Rules | None = None,
) -> Side:
    loss = likelihood(model, [(item.ids, item.mask) for item in asked], lambda rows: watch.done(rows, f"loss of {what}"))
    others = [encoded for item in asked if (encoded := item.rejected) is not None]
    rejected = likelihood(model, [(item.ids, item.mask) for item in others]) if len(others) == len(asked) else None
    if not answered:
        return Side(loss, [], None, rejected)
    prompts = [asked[place].prompt for place in answered]
    before = watch.so_far
    given, seconds = ask(
        model,
        tokenizer,
        prompts,
        longest,
        on_progress=lambda done, _: watch.done(before + done - watch.so_far, f"answers of {what}"),
        should_stop=watch.reporter.should_stop,
    )
    sampled: list[float] = []
    if rules:
        write = partial(ask, model, tokenizer, max_new_tokens=longest, should_stop=watch.reporter.should_stop, temperature=1.0)
        messages = [asked[place].conversation.messages[-1] for place in answered]
        sampled = reward.sampled(rules, lambda prompts: write(prompts)[0], prompts, messages)
    if watch.timed(what):
        return Side(loss, given, None, rejected, sampled)
    rate = sum(answer.tokens for answer in given) / max(seconds, 1e-9)
    return Side(loss, given, speed(model, tokenizer, prompts, longest, rate), rejected, sampled)


def _answered(
    question: Question, place: int, base: Side, tuned: Side, at: int, scorer: Scorer, rules: Rules | None
) -> Answered:
    sides = []
    for side in (base, tuned):
        answer, found = side.given[at], side.likelihood
        loss = float(found.loss[place] / max(1.0, found.tokens[place]))
        scores = {**scorer(question.reference, answer.text), **text_scores(question.reference, answer.text), "loss": loss}
        if rules:
            scores |= rules.scores(answer, question.conversation.messages[-1])
        sides.append(Given(answer.text, answer.tokens, bool(answer.stopped), scores))
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
        return "loss", "plain text has no questions to answer, so only its likelihood is measured"
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

    def score(given: Given) -> tuple[float, ...]:
        return given.scores[first], given.scores["exact_match"], given.scores["rouge_l"], -given.scores["loss"]

    def moved(pair: Answered) -> tuple[float, float]:
        return abs(pair.tuned.scores["rouge_l"] - pair.base.scores["rouge_l"]), -rouge_l(pair.base.text, pair.tuned.text)

    places = range(len(pairs))
    by_score = sorted(places, key=lambda place: score(pairs[place].tuned))
    by_change = sorted(places, key=lambda place: moved(pairs[place]), reverse=True)
    return {"best": by_score[::-1][:wanted], "worst": by_score[:wanted], "changed": by_change[:wanted]}


def _fitting(asked: list[Question], limit: int | None) -> tuple[list[Question], list[str]]:
    """The rows that can be measured, and the others with their reasons."""
    kept, left_out = [], []
    for item in asked:
        where = f"{item.conversation.file}:{item.conversation.line}"
        if limit and len(item.ids) > limit:
            left_out.append(f"{where}: {count(len(item.ids))} tokens, the limit is {count(limit)}")
        elif not any(item.mask[1:]):
            left_out.append(f"{where}: no token of it is an answer")
        else:
            kept.append(item)
    return kept, left_out


def _drawn(places: list[int], wanted: int, seed: int) -> list[int]:
    if len(places) <= wanted:
        return places
    return sorted(np.random.default_rng(seed).choice(places, wanted, replace=False).tolist())


def _adapter_off(model: Any) -> contextlib.AbstractContextManager[Any]:
    return model.disable_adapter()


def _limit(model: Any) -> int | None:
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def _device(model: Any) -> str:
    import platform

    import torch

    if model.device.type == "cuda":
        return torch.cuda.get_device_name(model.device)
    return f"CPU ({platform.machine()}, {torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''})"


class _Watch:
    """Progress over all sets, the wish to stop, and which passes were timed already."""

    def __init__(self, reporter: Reporter, sets: Sequence[QuestionSet], settings: Evaluation) -> None:
        self.reporter = reporter
        self.total = sum(2 * len(item.rows) + 2 * min(len(item.rows), settings.max_rows) for item in sets)
        self.so_far = 0
        self._timed: set[str] = set()

    def done(self, rows: int, what: str) -> None:
        """Tell how far we are; raise Stopped if someone asked for it."""
        from studio.core.errors import Stopped

        self.so_far += rows
        self.reporter.progress(self.so_far, self.total, what)
        if self.reporter.should_stop():
            raise Stopped

    def timed(self, what: str) -> bool:
        """True if this side was timed before: one set is enough."""
        side = what.split()[0]
        seen = side in self._timed
        self._timed.add(side)
        return seen
