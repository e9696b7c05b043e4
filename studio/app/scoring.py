"""Use cases of rows as a base model sees them: how many tokens they have, and how likely it finds their answers.

Scoring loads the model: it is for a process of its own, never for a web server's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

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
    chosen = Model.model_validate({**model.model_dump(exclude_unset=True), "dtype": model.dtype or dtype})
    with gpu_use.in_turn("the data desk", reporter):
        base = loading.load_base(chosen, machine.device, found)
        return surprise.score(rows, total, count, base, tokenizer, model.name, reporter)


def named_people(rows: Iterable[tuple[int, Conversation]], count: int, model: str, reporter: Reporter) -> Named:
    """The rows, told by their index, that name people by a token-classification model: a folder or a hub id.

    It is loaded here, on the CPU. Raises ModelError, Stopped.
    """
    from studio.evaluation import people

    tagger, tokenizer = people.load(model)
    return people.find_people(rows, count, tagger, tokenizer, model, reporter)


def token_counter(model: Model) -> Callable[[Sequence[str]], Sequence[int]]:
    """Counts the tokens of texts by a model's tokenizer, without loading its weights. Raises ModelError."""
    from studio.models import loading, tokens

    tokenizer = loading.tokenizer(loading.find(model), model.chat_template)
    return lambda texts: tokens.count_tokens(tokenizer, texts)
