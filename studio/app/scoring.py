"""Use cases of rows as a base model sees them: how many tokens they have, and how likely it finds their answers.

Scoring loads the model: it is for a process of its own, never for a web server's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from studio.core.errors import ModelError
from studio.core.text import shorten
from studio.data.people import Named
from studio.data.rows import Conversation
from studio.data.surprise import Scores
from studio.models.settings import Model
from studio.spec import RunSpec
from studio.tracking.reporter import Reporter


def reader(name: str | None, spec: RunSpec | None, needed: bool) -> Model | None:
    """The model that a command names; else, if one is needed, that of its spec, or the shipped one."""
    if name:
        return Model(name=name)
    return None if not needed else spec.model if spec else Model()


def scores(rows: Iterable[tuple[int, Conversation]], total: int, count: int, model: Model, reporter: Reporter) -> Scores:
    """The losses of rows, each given with its index among `total` rows; `count` of them are given.

    On a GPU it waits until no run uses it. Raises ModelError, HardwareError, EvaluationError, Stopped.
    """
    from studio.app import gpu_use
    from studio.evaluation import surprise
    from studio.hardware import machine as machines
    from studio.models import loading

    found = loading.find(model)
    tokenizer = loading.tokenizer(found, model.chat_template)
    machine = machines.probe()
    dtype = "fp32" if machine.gpu is None else "bf16" if machine.gpu.bf16 else "fp16"
    chosen = Model(**{**model.model_dump(exclude_unset=True), "dtype": model.dtype or dtype})
    with gpu_use.in_turn("the data desk", reporter):
        base = loading.load_base(chosen, machine.device, found)
        return surprise.score(rows, total, count, base, tokenizer, model.name, reporter)


def named_people(rows: Iterable[tuple[int, Conversation]], count: int, model: str, reporter: Reporter) -> Named:
    """The rows, given with their index, that name people by a token-classification model: a folder or a hub id.

    It is loaded here, on the CPU. Raises ModelError, Stopped.
    """
    import transformers

    from studio.evaluation.people import find_people
    from studio.models import finding

    found = finding.find(Model(name=model))
    options: dict[str, Any] = {"revision": found.revision, "trust_remote_code": False}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(found.path_or_id, use_fast=True, **options)
        base = transformers.AutoModelForTokenClassification.from_pretrained(found.path_or_id, use_safetensors=True, **options)
    except (ValueError, OSError, KeyError) as problem:
        raise ModelError(
            f"it cannot be loaded for token classification: {shorten(str(problem), 200)}",
            hint="Name a model for token classification (named-entity recognition) with safetensors weights.",
            where=model,
        ) from None
    return find_people(rows, count, base.eval(), tokenizer, model, reporter)


def token_counter(model: Model) -> Callable[[Sequence[str]], Sequence[int]]:
    """Counts the tokens of texts by a model's tokenizer, without loading its weights. Raises ModelError."""
    from studio.models import loading, tokens

    tokenizer = loading.tokenizer(loading.find(model), model.chat_template)
    return lambda texts: tokens.count_tokens(tokenizer, texts)
