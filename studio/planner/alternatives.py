"""When a run does not fit: the nearest settings that do, each planned again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from studio.core.errors import StudioError
from studio.core.text import parameters, plural
from studio.models import presets
from studio.models.dims import model_dims
from studio.planner import fitting, shortening
from studio.planner.case import Case, Fit
from studio.planner.cutting import overlong
from studio.runs.plan import Alternative
from studio.spec import RunSpec, nested, parse

MOST = 6
"""Alternatives shown."""
USELESS = 0.5
"""Share of the rows that a choice may leave out and still be one."""
SHORTER = (0.75, 0.5, 0.25, 0.125)
"""Shares of the longest row that are tried."""


def near(spec: RunSpec, case: Case) -> list[Alternative]:
    """Settings that fit, nearest first: one change alone, else several together, then smaller models, and last what leaves out
    many rows."""
    steps = list(_steps(spec, case))
    alone = [step for step in steps if "data.max_length" not in step[1]]
    found = [made for change in [*alone, *_longest(spec, case)] if (made := _try(spec, case, [change]))]
    if not found:
        together: list[tuple[str, dict[str, Any], str]] = []
        for change in _widest(steps):
            together.append(change)
            if len(together) > 1 and (made := _try(spec, case, together)):
                found.append(made)
                break
    mild = [item for item in found if _lost(spec, case, item) <= shortening.DROPPED]
    costly = [item for item in found if shortening.DROPPED < _lost(spec, case, item) <= USELESS]
    return [*mild, *_smaller(spec, case), *costly][:MOST]


def _lost(spec: RunSpec, case: Case, alternative: Alternative) -> float:
    """The share of the rows that it leaves out: of many, a smaller model is the nearer choice."""
    length = alternative.changes.get("data.max_length")
    return 0.0 if length is None or overlong(spec) == "split" else case.rows.over(length) / max(1, len(case.rows))


def _steps(spec: RunSpec, case: Case) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Changes in the order a person would make them: what costs nothing first."""
    training, length = spec.training, spec.data.max_length or case.rows.longest
    if (training.micro_batch or 1) > 1:
        yield "micro_batch 1", {"training.micro_batch": 1}, "the same result, a little slower"
    if training.gradient_checkpointing is False:
        yield "gradient checkpointing", {"training.gradient_checkpointing": True}, "the same result, about a third slower"
    if (training.recompute_every or 1) > 1:
        yield "every layer recomputed", {"training.recompute_every": 1}, "the same result, slower"
    if training.activation_offloading is False and case.cuda:
        yield "activation offloading", {"training.activation_offloading": True}, "the same result"
    if spec.model.attention == "eager" and not case.dims.only_eager:
        yield "sdpa attention", {"model.attention": "sdpa"}, "the same result"
    if spec.model.dtype == "fp32" and case.cuda:
        yield "16-bit numbers", {"model.dtype": None}, "as usual on a GPU"
    if training.optimizer == "adamw" and case.cuda:
        yield "8-bit AdamW", {"training.optimizer": "adamw_8bit"}, "hardly any difference"
    if spec.model.quantization in ("none", "int8"):
        yield "nf4", {"model.quantization": "nf4"}, "the base in 4 bit: slightly less exact"
    if case.dims.experts and case.dims.experts_adapted and spec.adapter.targets == "all-linear":
        yield "adapters on attention", {"adapter.targets": "attention"}, "the experts stay as they are: it can learn less"
    for share in SHORTER:
        shorter = max(16, int(length * share) // 8 * 8)
        if shorter < length:
            yield _shorter(spec, case, shorter)
    if spec.adapter.rank > 8:
        yield "rank 8", {"adapter.rank": 8, "adapter.alpha": None}, "the adapter can learn less"


def _shorter(spec: RunSpec, case: Case, length: int) -> tuple[str, dict[str, Any], str]:
    lost = plural(case.rows.over(length), "row")
    price = f"{lost} in more pieces" if overlong(spec) == "split" else f"{lost} over-long"
    return f"max_length {length:,}", {"data.max_length": length}, price


def _longest(spec: RunSpec, case: Case) -> Iterator[tuple[str, dict[str, Any], str]]:
    """The longest row that fits, where that alone is enough."""
    wanted, budget = spec.data.max_length or case.rows.longest, case.machine.memory_budget

    def filled(length: int) -> float:
        made = _fit(spec, case, {"data.max_length": length})
        return made.memory.total / budget if made else 2.0

    if len(case.rows) and (length := shortening.fitting(case.rows.longest_in_rows, wanted, filled)):
        yield _shorter(spec, case, length)


def _widest(steps: list[tuple[str, dict[str, Any], str]]) -> list[tuple[str, dict[str, Any], str]]:
    """Each kind of change once, the strongest of its kind, in order."""
    strongest: dict[tuple[str, ...], tuple[str, dict[str, Any], str]] = {}
    for step in steps:
        strongest[tuple(step[1])] = step
    return list(strongest.values())


def _try(spec: RunSpec, case: Case, steps: list[tuple[str, dict[str, Any], str]]) -> Alternative | None:
    changes = {field: value for _, change, _ in steps for field, value in change.items()}
    made = _fit(spec, case, changes)
    if made is None or made.memory.total > case.machine.memory_budget:
        return None
    return Alternative(
        ", ".join(name for name, _, _ in steps), changes, made.memory.total, "; ".join(cost for *_, cost in steps)
    )


def _fit(spec: RunSpec, case: Case, changes: dict[str, Any]) -> Fit | None:
    try:
        return fitting.fit(parse(nested(changes, spec.model_dump(mode="json")), "plan"), case)
    except StudioError:
        return None


def _smaller(spec: RunSpec, case: Case) -> Iterator[Alternative]:
    """The two largest known models that fit as the spec stands, those of the same maker first."""
    maker = case.name.split("/")[0].lower()
    known = ((name, presets.config(name)) for name in presets.names() if name.lower() != case.name.lower())
    cases = [replace(case, dims=model_dims(config), config=config, name=name) for name, config in known if config]
    smaller = [item for item in cases if item.dims.parameters < case.dims.parameters]
    smaller.sort(key=lambda item: (item.name.split("/")[0].lower() == maker, item.dims.parameters), reverse=True)
    fits = (
        Alternative(item.name, {"model.name": item.name}, made.memory.total, f"{parameters(item.dims.parameters)} parameters")
        for item in smaller
        if (made := _fit(spec, item, {"model.name": item.name})) and made.memory.total <= case.machine.memory_budget
    )
    yield from itertools.islice(fits, 2)
