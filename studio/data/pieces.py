"""Documents: passages that follow each other become one sequence again, and long ones are cut where training needs it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from studio.core.errors import StudioError
from studio.data.render import Encoded
from studio.data.rows import Conversation

if TYPE_CHECKING:
    from studio.data.arrays import Writer

MOST = 1_000_000
"""Tokens of a document from which its next passage begins another sequence, so that memory stays small."""


def spans(length: int, longest: int) -> list[tuple[int, int]]:
    """Where a sequence of `length` tokens is cut into pieces of at most `longest`: begin and end of each.

    The pieces are about equally long, and each begins with the last token of the one before, so that every token but the
    first is predicted exactly once.
    """
    if length <= longest:
        return [(0, length)]
    count = -(-(length - 1) // (longest - 1))
    ends = [1 + (length - 1) * number // count for number in range(count + 1)]
    return [(begin - 1, end) for begin, end in itertools.pairwise(ends)]


def piece_lengths(lengths: np.ndarray, longest: int) -> np.ndarray:
    """Tokens of every piece of sequences of these lengths, int64."""
    return np.array([end - begin for length in lengths.tolist() for begin, end in spans(length, longest)], dtype=np.int64)


def can_be_cut(mask: Sequence[bool] | np.ndarray) -> bool:
    """Whether a sequence may be cut anywhere: every token is learned, so none is the prompt of another."""
    return bool(np.asarray(mask)[1:].all())


class Documents:
    """Passages on their way to the arrays: neighbours in a document are one sequence. Where a passage between them is held
    out, or cannot be used, a new one begins, without the token that begins a text."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.ids: list[int] = []
        self.begin = 0
        """Tokens at the beginning that are not learned."""
        self.first: tuple[Conversation, int] | None = None
        self.last: Conversation | None = None

    def put(self, row: Conversation, index: int, encoded: Encoded | StudioError) -> None:
        """The next row as it was encoded, or why it was not."""
        if isinstance(encoded, StudioError) or not encoded.trained or not row.passage:
            self.flush()
            self.writer.put(row, index, [encoded])
            return
        before = encoded.mask.index(True)
        if not self._follows(row) or len(self.ids) >= MOST:
            self.flush()
            self.begin = before if row.passage == 1 else 0
            self.first = (row, index)
        self.ids += encoded.ids[before - self.begin if not self.ids else before :]
        self.last = row

    def flush(self) -> None:
        """Write what has come together."""
        if self.first is not None:
            row, place = self.first
            mask = [number >= self.begin for number in range(len(self.ids))]
            self.writer.put(row, place, [Encoded(self.ids, mask, "", [])])
        self.ids, self.first, self.last = [], None, None

    def _follows(self, row: Conversation) -> bool:
        last = self.last
        return last is not None and last.glue is not None and row.file == last.file and row.passage == last.passage + 1
