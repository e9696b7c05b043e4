"""How likely a base model finds the answers of rows: behind their question, and without it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from studio.core.errors import StudioError
from studio.data.render import Encoded, attempt_many, check_template
from studio.data.rows import Conversation
from studio.data.surprise import Scores
from studio.evaluation.likelihood import likelihood
from studio.evaluation.passes import in_batches
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

LONGEST = 1024
"""Tokens of a row that are looked at: the end of a longer question, the beginning of a longer answer."""
BATCH = 64
_Scored = tuple[list[int], list[bool]]


def score(
    rows: Iterable[tuple[int, Conversation]],
    total: int,
    count: int,
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    reporter: Reporter,
) -> Scores:
    """The loss of each row's last answer by a base model, with and without what is asked.

    rows: each with its index among `total` rows; count: how many of them are given. A row that the chat template refuses and
    one that is marked as bad are not scored. Raises Stopped when asked to stop.
    """
    places: list[int] = []
    asked: list[np.ndarray] = []
    bare: list[np.ndarray] = []
    for some in in_batches(rows, BATCH, count, f"Scoring rows by {name}", reporter):
        wanted = [(index, row) for index, row in some if row.good is not False]
        encoded = attempt_many([row for _, row in wanted], tokenizer, "last_assistant")
        both: list[_Scored] = []
        here: list[int] = []
        for (index, row), made in zip(wanted, encoded, strict=True):
            if isinstance(made, StudioError) or not any(made.mask[1:]):
                continue
            here.append(index)
            both += [_behind(made), _alone(made, tokenizer) if row.messages else ([0, 0], [False, False])]
        if not here:
            continue
        measured = likelihood(model, both)
        with np.errstate(invalid="ignore", divide="ignore"):
            losses = measured.loss / measured.tokens
        places += here
        asked.append(losses[::2])
        bare.append(losses[1::2])
    none = np.empty(0)
    return Scores(
        name, np.array(places, dtype=np.int64), np.concatenate(asked or [none]), np.concatenate(bare or [none]), total
    )


def _behind(encoded: Encoded) -> _Scored:
    """The answer behind its question."""
    first = encoded.mask.index(True)
    begin = max(0, min(first - 1, len(encoded.ids) - LONGEST))
    return encoded.ids[begin : begin + LONGEST], encoded.mask[begin : begin + LONGEST]


def _alone(encoded: Encoded, tokenizer: PreTrainedTokenizerBase) -> _Scored:
    """The answer behind nothing but the header that opens an answer."""
    first = encoded.mask.index(True)
    opening = encoded.text.rfind(check_template(tokenizer).header.strip(), 0, encoded.starts[first])
    begin = first - 1
    while begin > 0 and opening >= 0 and encoded.starts[begin] > opening:
        begin -= 1
    begin = max(begin, 0)
    return encoded.ids[begin : begin + LONGEST], encoded.mask[begin : begin + LONGEST]
