"""How likely a model finds rows of any length: texts longer than the limit are read in pieces and count as one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from studio.data.pieces import spans
from studio.evaluation.answering import Question
from studio.evaluation.interval import Column
from studio.evaluation.likelihood import Likelihood, likelihood

if TYPE_CHECKING:
    from torch import nn


def read(model: nn.Module, questions: Sequence[Question], done: Callable[[int], None]) -> Likelihood:
    """The likelihood of each row. A longer text's pieces begin with the last token of the one before, as in training."""
    pieces: list[tuple[Sequence[int], Sequence[bool]]] = []
    starts = []
    for item in questions:
        starts.append(len(pieces))
        cuts = spans(len(item.ids), item.longest) if item.longest else [(0, len(item.ids))]
        pieces += [(item.ids[begin:end], item.mask[begin:end]) for begin, end in cuts]
    found = likelihood(model, pieces, lambda count: done(round(count * len(questions) / len(pieces))))
    if len(pieces) == len(questions):
        return found
    loss, right, tokens = (np.add.reduceat(part, starts) for part in (found.loss, found.right, found.tokens))
    return Likelihood(loss, right, tokens)


def sizes(questions: Sequence[Question]) -> Column | None:
    """The bytes of each row, if all are texts."""
    return (
        np.array([item.bytes for item in questions], dtype=np.float64)
        if questions and all(item.bytes for item in questions)
        else None
    )
