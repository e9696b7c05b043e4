"""JSON answers: valid, of the references' schema, and right field by field."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from studio.evaluation.overlap import normalise, spoken
from studio.evaluation.tasks.task import Scorer, Task, mostly, share_metric

FIELDS = share_metric("json_fields", "Field F1", "2PR / (P + R) over the fields whose path and value are the reference's")
VALID = share_metric("json_valid", "Valid JSON", "share of answers that are one JSON value, in a code fence or not")
SCHEMA = share_metric(
    "json_schema",
    "Schema kept",
    "share of answers with every key that all references have, no key that none has, and values of the types seen there",
)

_FENCE = re.compile(r"^```\w*\s*\n(.*?)\n?```$", re.DOTALL)


def parse(text: str) -> Any:
    """The JSON value of an answer. Raises ValueError if it is not one."""
    bare = spoken(text)
    fenced = _FENCE.match(bare)
    return json.loads(fenced.group(1) if fenced else bare, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _is_object(reference: str) -> bool:
    try:
        return isinstance(parse(reference), dict | list)
    except (ValueError, RecursionError):
        return False


def recognise(references: Sequence[str]) -> bool:
    """Each reference is a JSON object or array."""
    return mostly(references, _is_object)


def flat(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Each leaf as (path, value). Array elements have no index: their order is part of the schema only if a key says so.

    Text is compared without case and punctuation, a whole number like its decimal.
    """
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for inner in value:
            yield from flat(inner, f"{path}[]")
    elif isinstance(value, str):
        yield path, f"text {normalise(value) or value}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, f"number {float(value):.12g}"
    else:
        yield path, json.dumps(value)


def types(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Each value, inner ones too, as (path, JSON type)."""
    names = {bool: "boolean", int: "number", float: "number", str: "string", dict: "object", list: "array"}
    yield path, names.get(type(value), "null")
    inner = value.items() if isinstance(value, dict) else (("[]", item) for item in value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from types(item, f"{path}.{key}")


class Schema:
    """The keys and types of the references."""

    def __init__(self, values: Sequence[Any]) -> None:
        seen = [set(types(value)) for value in values]
        paths = [{path for path, _ in one} for one in seen]
        self.required = set.intersection(*paths) if paths else set[str]()
        self.allowed = set[tuple[str, str]]().union(*seen)

    def fits(self, value: object) -> bool:
        """Whether a value has every required key and nothing beyond what the references have."""
        found = set(types(value))
        return self.required <= {path for path, _ in found} and found <= self.allowed


def scorer(references: Sequence[str]) -> Scorer:
    """All three figures of one answer."""
    schema = Schema([parse(reference) for reference in references if _is_object(reference)])

    def score(reference: str, answer: str) -> dict[str, float]:
        try:
            value = parse(answer)
        except (ValueError, RecursionError):
            return {FIELDS.name: 0.0, VALID.name: 0.0, SCHEMA.name: 0.0}
        wanted, answered = Counter(flat(parse(reference) if _is_object(reference) else reference)), Counter(flat(value))
        common = sum((wanted & answered).values())
        fields = 2 * common / (wanted.total() + answered.total())
        return {FIELDS.name: fields, VALID.name: 1.0, SCHEMA.name: float(schema.fits(value))}

    return score


TASK = Task("json", (FIELDS, VALID, SCHEMA), "the references are JSON: each field is right or wrong", recognise, scorer)
