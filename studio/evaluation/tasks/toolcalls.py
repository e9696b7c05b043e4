"""Tool calls: the right function with the right arguments, or rightly none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from studio.evaluation.overlap import spoken
from studio.evaluation.tasks.task import Scorer, Task, share_metric

SOME = 0.5
"""Share of references with a call: the others are rows where no function should be called."""

MATCH = share_metric(
    "call_match", "Tool call right", "share of answers with the reference's calls, names and arguments, or rightly none"
)
NAME = share_metric(
    "call_name", "Tool name right", "share of answers that call the functions the reference calls, or rightly none"
)
ARGUMENTS = share_metric(
    "call_arguments", "Tool arguments", "2PR / (P + R) over the arguments whose function, name and value are the reference's"
)


def calls(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The calls in an answer, whatever marks the chat template puts around their JSON: (function, arguments) each."""
    found, at, decoder = list[tuple[str, dict[str, Any]]](), 0, json.JSONDecoder()
    bare = spoken(text)
    while (at := bare.find("{", at)) >= 0:
        try:
            value, end = decoder.raw_decode(bare, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        found += _call(value)
        at = end
    return found


def _call(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    value = value.get("function", value) if isinstance(value.get("function", value), dict) else value
    arguments = value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            return
    if isinstance(value.get("name"), str) and isinstance(arguments, dict):
        yield value["name"], arguments


def recognise(references: Sequence[str]) -> bool:
    """At least half of the references hold a call."""
    return bool(references) and sum(bool(calls(reference)) for reference in references) >= SOME * len(references)


def scorer(references: Sequence[str]) -> Scorer:
    """All three figures of one answer."""
    return _score


def _score(reference: str, answer: str) -> dict[str, float]:
    wanted, answered = _sorted(calls(reference)), _sorted(calls(answer))
    names = [name for name, _ in wanted] == [name for name, _ in answered]
    one, other = (
        {(name, key, _text(value)) for name, given in side for key, value in given.items()} for side in (wanted, answered)
    )
    arguments = 2 * len(one & other) / (len(one) + len(other)) if one or other else float(names)
    same = names and [_text(given) for _, given in wanted] == [_text(given) for _, given in answered]
    return {MATCH.name: float(same), NAME.name: float(names), ARGUMENTS.name: arguments}


def _sorted(calls: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    return sorted(calls, key=lambda call: (call[0], _text(call[1])))


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


TASK = Task(
    "tools", (MATCH, NAME, ARGUMENTS), "the references call functions: name and arguments are right or wrong", recognise, scorer
)
