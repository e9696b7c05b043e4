"""From collected answers to rows: corrections and good answers to train on, ratings as labels, and preference pairs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias, get_args

from studio.core.messages import chat_message
from studio.data.collected import CollectedRow, Kind
from studio.data.curation.edits import Content
from studio.feedback.records import CollectedAnswer

Into: TypeAlias = Literal["rows", "labels", "pairs"]
INTO: tuple[Into, ...] = get_args(Into)
Row: TypeAlias = tuple[Content, CollectedRow]


def rows(answers: Iterable[CollectedAnswer], into: Into) -> list[Row]:
    """The rows of one kind that answers make, in their order; an answer that makes none is left out.

    rows: each correction, and each answer rated good, as a conversation. labels: each rated answer with whether it is good,
    and a correction as a good one. pairs: a correction against the answer it corrects, and of one question a good answer
    against a bad one.
    """
    found = [item for item in answers if item.rated]
    if into == "rows":
        return [row for item in found for row in _conversation(item)]
    if into == "labels":
        return [row for item in found for row in _labels(item)]
    return list(_pairs(found))


def _conversation(item: CollectedAnswer) -> Iterator[Row]:
    if item.correction:
        yield _content(item, item.correction), _source(item, "correction")
    elif item.rating == "good":
        yield _content(item), _source(item, "good answer")


def _labels(item: CollectedAnswer) -> Iterator[Row]:
    good = item.rating == "good" and not item.correction
    if item.rating or item.correction:
        yield _content(item).model_copy(update={"good": good}), _source(item, "label")
    if item.correction:
        yield _content(item, item.correction).model_copy(update={"good": True}), _source(item, "label")


def _pairs(answers: list[CollectedAnswer]) -> Iterator[Row]:
    good: dict[str, CollectedAnswer] = {}
    for item in answers:
        if item.rating == "good" and not item.correction:
            good.setdefault(_question(item), item)
    for item in answers:
        better = good.get(_question(item))
        if item.correction:
            yield _against(_content(item, item.correction), item)
        elif item.rating == "bad" and better is not None and better.answer != item.answer:
            yield _against(_content(better), item)


def _against(chosen: Content, item: CollectedAnswer) -> Row:
    return chosen.model_copy(update={"rejected": item.answer}), _source(item, "pair")


def _question(item: CollectedAnswer) -> str:
    return json.dumps([item.messages, item.tools], sort_keys=True)


def _content(item: CollectedAnswer, correction: str = "") -> Content:
    answer = chat_message("assistant", correction) if correction else item.answer
    return Content(messages=(*item.messages, answer), tools=item.tools)


def _source(item: CollectedAnswer, kind: Kind) -> CollectedRow:
    return CollectedRow(
        number=item.number, kind=kind, origin=item.origin, model=item.model, run=item.run, rating=item.rating,
        answer=item.text if item.correction else "", index=item.index, masked=item.masked, by=item.by, at=item.rated_at,
    )  # fmt: skip
