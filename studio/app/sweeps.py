"""Use case of a sweep: one spec, several values for some of its fields, one ordinary run for each combination."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from studio import spec as specs
from studio.core.errors import SpecError
from studio.spec import RunSpec

MOST = 64
"""Runs of one sweep: a product of several lists grows past what anybody waits for."""
LONGEST = 40
"""Characters that the values may add to a run's name; with longer ones the runs are numbered."""
WRITTEN = 'Example: {"training.learning_rate": [1e-4, 2e-4]}'


def variants(spec: RunSpec, values: Mapping[str, Sequence[Any]]) -> list[RunSpec]:
    """One spec for each combination of the values, the last field changing fastest; all are checked before the first starts.

    Each is named by its values and belongs to one tracking group. Raises SpecError.
    """
    lists = {field: _values(field, several) for field, several in _mapping(values).items()}
    combinations = list(itertools.product(*lists.values()))
    if len(combinations) > MOST:
        raise SpecError(f"{len(combinations)} runs, at most {MOST}", hint="Try fewer values, or fewer fields.", where="sweep")
    group = _group(spec, lists)
    made: list[RunSpec] = []
    for number, combination in enumerate(combinations, 1):
        changes = dict(zip(lists, combination, strict=True))
        named = {"name": _name(spec.name, changes, number), **({"tracking.group": group} if group else {})}
        made.append(specs.edit(spec, {**named, **changes}, "sweep"))
    _refuse_equal(combinations, made, list(lists))
    return made


def _refuse_equal(combinations: Sequence[Sequence[Any]], checked: Sequence[RunSpec], fields: Sequence[str]) -> None:
    """Refuse values that are one value written twice, such as 1e-4 and 0.0001: their specs are equal."""
    seen: dict[str, Sequence[Any]] = {}
    for combination, variant in zip(combinations, checked, strict=True):
        settings = variant.model_dump_json(exclude={"name"})
        if (before := seen.setdefault(settings, combination)) is not combination:
            first, again, field = next(each for each in zip(before, combination, fields, strict=True) if each[0] != each[1])
            hint = "Each value makes one run: name it once."
            raise SpecError(f"{first} and {again} are the same value", hint=hint, where=field)


def parse_values(items: Iterable[str]) -> dict[str, list[Any]]:
    """`FIELD=VALUE,VALUE` items as lists of YAML values, by field. Raises SpecError."""
    form = "--vary training.learning_rate=1e-4,2e-4"
    by_field: dict[str, list[Any]] = {}
    for item in items:
        field, equals, text = item.partition("=")
        if not equals or not field.strip():
            raise SpecError(f"`{item}` names no values", hint=f"Write {form}", where="--vary")
        listed = text.strip() if text.strip().startswith("[") else f"[{text}]"
        (values,) = specs.parse_settings([f"{field}={listed}"], form).values()
        if field.strip() in by_field or not isinstance(values, list):
            what = f"`{field.strip()}` occurs twice" if field.strip() in by_field else f"`{text}` is no list of values"
            raise SpecError(what, hint=f"Name each field once: {form}", where="--vary")
        by_field[field.strip()] = values
    return by_field


def _mapping(values: object) -> dict[str, object]:
    if not isinstance(values, Mapping):
        raise SpecError(f"expected fields with their values, got {type(values).__name__}", hint=WRITTEN, where="sweep")
    if not values:
        raise SpecError("no field has several values", hint=WRITTEN, where="sweep")
    return {str(field): several for field, several in cast("Mapping[object, object]", values).items()}


def _values(field: str, several: object) -> list[Any]:
    if isinstance(several, str | bytes | Mapping) or not isinstance(several, Iterable):
        raise SpecError(f"expected a list of values, got {several!r}", hint=WRITTEN, where=field)
    listed: list[Any] = [value.item() if hasattr(value, "item") else value for value in cast("Iterable[Any]", several)]
    if not listed:
        raise SpecError("the list of values is empty", hint=WRITTEN, where=field)
    for place, value in enumerate(listed):
        if value in listed[:place]:
            raise SpecError(f"{value!r} occurs twice", hint="Each value makes one run: name it once.", where=field)
    return listed


def _name(name: str, changes: Mapping[str, Any], number: int) -> str:
    """The spec's name with the values of this run, or with a number where they are too long or no plain values."""
    plain = all(isinstance(value, str | int | float | None) for value in changes.values())
    words = " ".join(f"{field.rpartition('.')[2]} {value}" for field, value in changes.items())
    added = words if plain and len(words) <= LONGEST else str(number)
    return f"{name[: 79 - len(added)]} {added}"


def _group(spec: RunSpec, lists: Mapping[str, list[Any]]) -> str | None:
    """The tracking group of the runs; None where the spec or W&B's variable names one."""
    if spec.tracking.group or os.environ.get("WANDB_RUN_GROUP") or "tracking.group" in lists:
        return None
    what = json.dumps([specs.fingerprint(spec), lists], default=str)
    return f"{spec.name[:60]} sweep {hashlib.sha256(what.encode()).hexdigest()[:6]}"
