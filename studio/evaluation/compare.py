"""Base against tuned: the same model with its adapter off and on, on the same rows, with intervals on every change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.core import events
from studio.core.errors import EvaluationError
from studio.core.text import count
from studio.evaluation import scored
from studio.evaluation.answering import longest_answer, questions
from studio.evaluation.general import NAME as GENERAL
from studio.evaluation.general import TEXT
from studio.evaluation.report import HELD_OUT, SFT, START, Report, SetReport, Speed
from studio.evaluation.set_report import set_report
from studio.evaluation.sets import QuestionSet
from studio.evaluation.settings import Evaluation
from studio.evaluation.sides import SetProgress, adapter_off, device, drawn, fitting, limit, one_side
from studio.evaluation.verdict import decide
from studio.tracking.reporter import Reporter, Silent
from studio.training import score_head

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from studio.data.render import TrainOn


def compare(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    sets: list[QuestionSet],
    settings: Evaluation,
    *,
    seed: int,
    reporter: Reporter | None = None,
    train_on: TrainOn = "assistant",
    max_length: int | None = None,
    start: Path | None = None,
    cross_validated: SetReport | None = None,
    baseline: Path | None = None,
) -> Report:
    """Measure base and tuned on each set.

    model: a PeftModel; its base is the same weights with the adapter off. The loss is taken over all rows, answers over at
    most settings.max_rows of them (drawn by seed). Rows longer than max_length tokens (None: the model's own limit) are
    left out and listed. start: the adapter that the run trained further; the first and the general set are then measured
    against it, too. baseline: the adapter of the same rows without a teacher; the first set is measured against it, too.
    cross_validated: what was found where no rows are held out; it comes first. Raises EvaluationError if nothing can be
    measured, Stopped if the reporter asks.
    """
    if score_head.of(model) is not None:
        rows, longest = sets[0].rows if sets else [], max_length or limit(model) or 0
        return scored.compare(model, tokenizer, rows, settings, seed=seed, reporter=reporter or Silent(), max_length=longest)
    watch = SetProgress(reporter or Silent(), sets, settings)
    training = model.training
    model.eval()
    others = {name: folder for name, folder in ((START, start), (SFT, baseline)) if folder is not None}
    if others:
        from studio.models.loading import attach_adapter

        for name, folder in others.items():
            attach_adapter(model, folder, name)
        model.set_adapter("default")
    try:
        measured = [
            _measure(model, tokenizer, item, settings, seed, watch, train_on, max_length, _measured_on(item.name, others))
            for item in sets
            if item.rows
        ]
    finally:
        for name in others:
            model.delete_adapter(name)
        model.train(training)
    found = [part for part in measured if part]
    reports = [*([cross_validated] if cross_validated else []), *(report for report, *_ in found)]
    reports += [report for *_, beside in found for report in beside]
    return Report(
        sets=reports,
        verdict=decide(reports),
        device=device(model),
        resamples=settings.resamples,
        seed=seed,
        speed=next((rates for _, rates, _ in found if rates), {}),
    )


def _measured_on(name: str, others: Iterable[str]) -> list[str]:
    """The adapters that a set is measured with beside the run's own: the start where it could have been forgotten, too."""
    return [other for other in others if name == HELD_OUT or (other == START and name in (GENERAL, TEXT))]


def _measure(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    wanted: QuestionSet,
    settings: Evaluation,
    seed: int,
    watch: SetProgress,
    train_on: TrainOn,
    max_length: int | None,
    others: Sequence[str],
) -> tuple[SetReport, dict[str, Speed], list[SetReport]] | None:
    """One set, base then tuned, and the set against other adapters; None if no row of a set beside the first can be
    measured."""
    asked, refused = questions(wanted.rows, tokenizer, train_on)
    asked, too_long = fitting(asked, max_length or limit(model))
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
    to_answer = [] if wanted.name == TEXT else [index for index, item in enumerate(asked) if item.prompt]
    answered = drawn(to_answer, settings.max_rows, seed)
    longest = longest_answer(asked, settings, wanted.name != HELD_OUT) if answered else 0
    with adapter_off(model):
        base = one_side(model, tokenizer, asked, answered, longest, watch, f"base on {wanted.name}", wanted.rules)
    tuned = one_side(model, tokenizer, asked, answered, longest, watch, f"tuned on {wanted.name}", wanted.rules)
    reported = partial(
        set_report, wanted.name, asked, answered,
        tuned=tuned, settings=settings, seed=seed, longest=longest, left_out=left_out, rules=wanted.rules,
    )  # fmt: skip
    against = []
    for name in others:
        model.set_adapter(name)
        side = one_side(model, tokenizer, asked, answered, longest, watch, f"{name} on {wanted.name}", wanted.rules)
        model.set_adapter("default")
        against.append(reported(side, against=name))
    speeds = {"base": base.speed, "tuned": tuned.speed}
    return reported(base), {name: value for name, value in speeds.items() if value}, against
