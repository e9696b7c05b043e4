"""How well an index finds: recall at k, mean reciprocal rank and nDCG over questions whose passages are known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from studio.core.errors import DataError, Stopped
from studio.core.plain import object_or_empty
from studio.core.records import Record
from studio.core.text import plural
from studio.documents.records import Passage
from studio.evaluation.interval import Draws, Estimate, estimate, mean
from studio.retrieval.index import Index
from studio.retrieval.records import Mode
from studio.retrieval.words import terms
from studio.tracking.reporter import Reporter

KS = (1, 3, 5, 10)
_RESAMPLES, _SEED = 1_000, 17


@dataclass(frozen=True)
class Question:
    """A question and the passages that answer it."""

    text: str
    gold: frozenset[str]


class Interval(Record):
    """A figure with its 95 % interval; without one where one question cannot say."""

    value: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, estimate: Estimate) -> Interval:
        """The interval of an estimate."""
        return cls(value=estimate.value, low=estimate.low, high=estimate.high)


class Measured(Record):
    """How one way of searching did."""

    mode: Mode
    figures: dict[str, Interval]
    """`recall@1` …, `mrr@10`, `ndcg@10`."""


class Measurement(Record):
    """What `studio index measure` found."""

    label: ClassVar[str] = "retrieval measurement"

    index: str
    questions: int
    left_out: int
    """Questions whose passages are not known or not in the index."""
    results: tuple[Measured, ...]


def measure(index: Index, questions: Sequence[Question], left_out: int, reporter: Reporter) -> Measurement:
    """Search with every question, in every way the index can. Raises DataError without questions."""
    if not questions:
        raise DataError(
            "none of the questions names a passage of this index",
            hint="A row has `question` and one of: `passages` (ids), `quote`, or `document` with `answer`.",
            where=index.record.name,
        )
    modes: list[Mode] = ["words", "meaning", "fused"] if index.record.embedder else ["words"]
    draws = Draws(len(questions), _RESAMPLES, _SEED)
    results = []
    for position, mode in enumerate(modes):
        found: dict[str, list[float]] = {}
        for number, question in enumerate(questions):
            if reporter.should_stop():
                raise Stopped
            reporter.progress(position * len(questions) + number, len(modes) * len(questions), f"Searching, {mode}")
            hits = [hit.passage.id for hit in index.search(question.text, max(KS), mode)]
            for name, value in figures(hits, question.gold).items():
                found.setdefault(name, []).append(value)
        estimates = {name: Interval.of(estimate(mean(np.array(values), (0.0, 1.0)), draws)) for name, values in found.items()}
        results.append(Measured(mode=mode, figures=estimates))
    return Measurement(index=index.record.name, questions=len(questions), left_out=left_out, results=tuple(results))


def figures(hits: Sequence[str], gold: frozenset[str]) -> dict[str, float]:
    """The figures of one question: what was found, best first, against what answers it.

    recall@k: 1 if any of the passages that answer it is among the first k, as one is enough to answer from.
    """
    right = [hit in gold for hit in hits]
    first = next((rank for rank, is_right in enumerate(right, 1) if is_right), None)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(gold), max(KS)) + 1))
    gained = sum(1 / math.log2(rank + 1) for rank, is_right in enumerate(right[: max(KS)], 1) if is_right)
    return {
        **{f"recall@{k}": float(any(right[:k])) for k in KS},
        f"mrr@{max(KS)}": 1 / first if first else 0.0,
        f"ndcg@{max(KS)}": gained / ideal if ideal else 0.0,
    }


def read_questions(rows: Iterable[object], index: Index) -> tuple[list[Question], int]:
    """The questions of rows of JSON with the passages that answer each, and how many rows name none."""
    passages = list(index.passages.values())
    words = [f" {' '.join(terms(passage.text))} " for passage in passages]
    found: list[Question] = []
    left_out = 0
    for row in map(object_or_empty, rows):
        text = question_of(row)
        gold = gold_of(row, passages, words) if text else frozenset()
        if gold:
            found.append(Question(text, gold))
        else:
            left_out += 1
    return found, left_out


def question_of(row: object) -> str:
    """The question of a row: its `question`, `prompt`, `instruction`, or last message of the user's."""
    if not isinstance(row, Mapping):
        return ""
    for name in ("question", "prompt", "instruction", "query"):
        if isinstance(row.get(name), str):
            return row[name].strip()
    turns = [turn for turn in row.get("messages") or () if isinstance(turn, Mapping) and turn.get("role") == "user"]
    return str(turns[-1].get("content") or "").strip() if turns else ""


def gold_of(row: Mapping[str, Any], passages: Sequence[Passage], words: Sequence[str]) -> frozenset[str]:
    """The passages that a row says answer it: by id, by a quote in them, or by its answer in the document it names.

    words: the words of each passage, parted by single spaces, with one at either end.
    """
    made = row.get("provenance")
    provenance: Mapping[str, Any] = made if isinstance(made, Mapping) else {}
    named = row.get("passages") or row.get("passage") or provenance.get("passages") or ()
    ids = (
        {named}
        if isinstance(named, str)
        else {str(item.get("id", "")) if isinstance(item, Mapping) else str(item) for item in named}
    )
    gold = frozenset(passage.id for passage in passages if passage.id in ids)
    if gold or ids:
        return gold
    document = row.get("document")
    quote = row.get("quote") or (row.get("answer") if document else None)
    sought = f" {' '.join(terms(str(quote)))} " if quote else ""
    if not sought.strip():
        return frozenset()
    return frozenset(
        passage.id
        for passage, content in zip(passages, words, strict=True)
        if (not document or passage.document == document) and sought in content
    )


def table(measurement: Measurement) -> Iterable[tuple[str, ...]]:
    """The measurement in rows: the way of searching, then each figure with its interval."""
    for result in measurement.results:
        cells = []
        for figure in result.figures.values():
            span = "" if figure.low is None or figure.high is None else f" [{figure.low:.3f}, {figure.high:.3f}]"
            cells.append(f"{figure.value:.3f}{span}")
        yield (result.mode, *cells)


def summary(measurement: Measurement) -> str:
    """How many questions it rests on, in words."""
    left = f"; {plural(measurement.left_out, 'row')} without a known passage left out" if measurement.left_out else ""
    return f"{plural(measurement.questions, 'question')}{left}"
