"""Standard benchmarks by lm-evaluation-harness, inside its own environment: models in, the score of every document out."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from studio.core.errors import EvaluationError

if TYPE_CHECKING:
    from torch import nn

    from studio.tracking.reporter import Reporter

ROWS_AT_ONCE = 8


class TaskScores(TypedDict):
    """What a task gave: the metric, and the score of each document by its id."""

    metric: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Measurement:
    """What is measured. tasks: each a `name` and the `folder` of its YAML, empty for one that comes with the harness."""

    tasks: Sequence[dict[str, str]]
    system: str
    limit: int | None
    """Documents of each task, None for all."""
    template: bool

    @classmethod
    def of(cls, request: Any) -> Measurement:
        """Those of a request's values that say what is measured."""
        return cls(request["tasks"], request["system"], request["limit"], request["template"])


def run(request: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """The scores of each side: {side: {task: {"metric": name, "scores": {document: score}}}}.

    request: `tasks` (each a name and the folder of its YAML, empty for one that comes with the harness), `system`, `limit`
    (documents of each task, None for all), `template`, and either `model` with `adapter`, the sides `base` and `tuned` of a
    run, or `folder` with `side`, a merged model. Raises EvaluationError.
    """
    sides: dict[str, dict[str, TaskScores]] = {}
    tasks = Measurement.of(request)
    for side, model, tokenizer in _models(request):
        # by name: the harness is in its own environment only
        harness_model = importlib.import_module("lm_eval.models.huggingface").HFLM
        measured = harness_model(pretrained=model, tokenizer=tokenizer, batch_size=ROWS_AT_ONCE)
        sides |= measure(side, measured, tasks, reporter)
    return sides


def measure(side: str, model: nn.Module, measurement: Measurement, reporter: Reporter) -> dict[str, dict[str, TaskScores]]:
    """The scores of a model of the harness, under the name of its side. Raises EvaluationError."""
    scores: dict[str, TaskScores] = {}
    for task in measurement.tasks:
        reporter.progress(len(scores), len(measurement.tasks), f"{task['name']}, {side}")
        scores[task["name"]] = _scores(model, task, measurement)
    return {side: scores}


def _models(request: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    from studio.hardware import machine
    from studio.models import loading
    from studio.models.settings import Model

    device = machine.probe().device
    model = Model.model_validate(request["model"])
    found = loading.find(model)
    tokenizer = loading.tokenizer(found, model.chat_template)
    base = loading.load_base(loading.as_loaded(model, device), device, found)
    if not request.get("adapter"):
        yield request["side"], base, tokenizer
        return
    tuned = loading.attach_adapter(base, Path(request["adapter"]))
    tuned.eval()
    with tuned.disable_adapter():
        yield "base", tuned.get_base_model(), tokenizer
    yield "tuned", tuned.get_base_model(), tokenizer


def _scores(model: nn.Module, task: dict[str, str], measurement: Measurement) -> TaskScores:
    simple_evaluate = importlib.import_module("lm_eval").simple_evaluate
    task_manager = importlib.import_module("lm_eval.tasks").TaskManager

    folder = task["folder"]
    with contextlib.chdir(folder or os.getcwd()):  # the data of a task of one's own lie beside it
        try:
            found = simple_evaluate(
                model=model,
                tasks=[task["name"]],
                task_manager=task_manager(include_path=folder or None, include_defaults=not folder),
                apply_chat_template=measurement.template,
                system_instruction=measurement.system or None,
                limit=measurement.limit,
                bootstrap_iters=0,
                log_samples=True,
            )
        except (KeyError, ConnectionError, ValueError) as error:
            raise EvaluationError(
                f"the task {task['name']} cannot be run: {type(error).__name__}: {error}",
                hint="A task that comes with the harness fetches its data from the hub once; one of your own is named by its "
                "YAML file.",
                where=task["name"],
            ) from error
    samples = found["samples"][task["name"]]
    metric = next(name for name in (*PREFERRED, *samples[0]["metrics"]) if name in samples[0]["metrics"])
    return {"metric": metric, "scores": {str(sample["doc_id"]): float(sample[metric]) for sample in samples}}


PREFERRED = ("acc_norm", "acc", "exact_match", "f1")
"""Metrics of a document that are taken first, where a task has several."""
