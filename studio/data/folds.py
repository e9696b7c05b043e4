"""Folds: every row in one of several parts of about the same size, rows that belong together always in the same one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from studio.core.errors import DataError
from studio.core.text import plural
from studio.data import near_groups, split
from studio.data.near import Signatures, number_mark, plain
from studio.data.rows import Conversation
from studio.tracking.reporter import Reporter, Silent


def folds(rows: Sequence[Conversation], count: int, seed: int, reporter: Reporter | None = None) -> list[int]:
    """The fold of each row, from 0. Rows that ask the same and near-duplicates are together, as where rows are held out; the
    same rows and seed give the same folds, whatever their order. Raises DataError if there are fewer questions than folds."""
    hashes = np.array([split.fingerprint(row)[:2] for row in rows], dtype=np.uint64).reshape(-1, 2)
    said = [(_said(row), row.answer or row.text) for row in rows]
    signatures = Signatures()
    for text, _ in said:
        signatures.add(text)
    together = hashes[:, 1]
    if len(rows) <= near_groups.ROWS:
        numbers = np.array([number_mark(answer) for _, answer in said], dtype=np.uint64)
        together, _ = near_groups.joined(signatures, numbers, said.__getitem__, hashes[:, 0], together, reporter or Silent())
    keys, inverse, sizes = np.unique(together, return_inverse=True, return_counts=True)
    if len(keys) < count:
        raise DataError(
            f"there are {plural(len(keys), 'different question')} for {count} folds",
            hint="Set evaluation.folds to fewer, or add rows with other questions.",
            where="evaluation.folds",
        )
    order = np.lexsort((split.mixed(keys, seed), -sizes))  # the largest first, so that the folds come out even
    filled, fold = np.zeros(count, dtype=np.int64), np.zeros(len(keys), dtype=np.int64)
    for group in order:
        fold[group] = int(np.argmin(filled))
        filled[fold[group]] += sizes[group]
    return fold[inverse].tolist()


def _said(row: Conversation) -> str:
    """What a row says without its system prompt, as near-duplicates are told by."""
    return plain("\n".join(str(turn.get("content")) for turn in row.messages if turn["role"] != "system") or row.text)
