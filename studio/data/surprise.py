"""The hardest and the most surprising rows, by how likely a base model finds their answers with and without the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from studio.core.text import shorten
from studio.data.checks.base import SHOWN
from studio.data.findings import Example, Finding
from studio.data.rows import Conversation

HARDEST, SURPRISING = "hardest", "surprising"
"""The names of the two findings, as those of checks are used."""
SHARE = 0.01
"""Rows that are called hardest, as a share of those that were scored."""
LEAST = 5
"""Rows that are called hardest at least; of fewer than four times as many none is."""
MOST_SURPRISING = 0.05
"""Rows that are called surprising at most, as a share: a model that knows nothing of the matter is surprised by many."""


@dataclass(frozen=True)
class Scores:
    """What a model makes of rows' last answers. All arrays are [scored rows], in the order of the rows.

    rows: index of each scored row among all rows, from 0. with_question and bare: its loss in nats a token, behind its
    question and on its own; bare is NaN for plain text.
    """

    model: str
    rows: np.ndarray
    with_question: np.ndarray
    bare: np.ndarray
    total: int
    """Rows there are; fewer may have been scored."""


def findings(scores: Scores) -> list[tuple[Finding, Sequence[int]]]:
    """The hardest and the most surprising rows as findings without examples, each with the rows' indices, worst first."""
    some = f" ({len(scores.rows):,} of {scores.total:,} rows were scored)" if len(scores.rows) < scores.total else ""
    result: list[tuple[Finding, Sequence[int]]] = []
    count = max(LEAST, round(SHARE * len(scores.rows)))
    if len(scores.rows) >= 4 * LEAST:
        order = np.argsort(-scores.with_question, kind="stable")[:count]
        least, usual = float(scores.with_question[order[-1]]), float(np.median(scores.with_question))
        figures = f"from {least:.2f} nats a token, half have at most {usual:.2f}"
        message = f"answers are the hardest ones for {scores.model}: {figures}{some}"
        result.append((_finding(HARDEST, message, order, scores), scores.rows[order].tolist()))
    with np.errstate(invalid="ignore"):
        more = scores.with_question - scores.bare
        surprised = np.flatnonzero(more > 0)
    if len(surprised):
        order = surprised[np.argsort(-more[surprised], kind="stable")][: max(LEAST, round(MOST_SURPRISING * len(scores.rows)))]
        message = f"answers are no likelier behind their question than without it for {scores.model}{some}"
        if len(surprised) > len(order):
            message += f"; the first of {len(surprised):,}"
        result.append((_finding(SURPRISING, message, order, scores), scores.rows[order].tolist()))
    return result


def _finding(check: str, message: str, order: np.ndarray, scores: Scores) -> Finding:
    not_covered = (
        "whether such an answer is wrong: names, numbers and formats that are new to the model are hard as well"
        if check == HARDEST
        else "answers that do not belong to their question and that the model finds likely behind it all the same"
    )
    share = len(order) / max(scores.total, 1)
    return Finding(check=check, severity="info", message=message, count=len(order), share=share, not_covered=not_covered)


def spread(total: int, most: int | None) -> np.ndarray:
    """The indices of at most so many rows, spread evenly over all."""
    if most is None or total <= most:
        return np.arange(total)
    return np.unique(np.linspace(0, total - 1, most).astype(np.int64))


def in_words(with_question: float, bare: float | None) -> str:
    """A row's losses in words."""
    without = "" if bare is None or np.isnan(bare) else f", {bare:.2f} without the question"
    return f"{with_question:.2f} nats a token{without}"


def example(row: Conversation, with_question: float, bare: float | None) -> Example:
    """A row with its losses and its answer."""
    text = shorten(f"{in_words(with_question, bare)}: {row.answer or row.text}", 2 * SHOWN)
    return Example(file=row.file, line=row.line, text=text)
