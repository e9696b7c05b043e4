"""Encoded rows as they lie on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tokens:
    """Encoded rows on disk. Row i is `ids[offsets[i]:offsets[i+1]]`, and so is its mask."""

    folder: Path
    ids: np.ndarray
    """int32, all rows one after the other."""
    mask: np.ndarray
    """uint8, 1 where a token is trained."""
    offsets: np.ndarray
    """int64, one more than there are rows."""
    positions: np.ndarray
    """int64 (rows, 3): index into `meta["files"]` and line of the row as the user gave it, and line in the encoded file."""
    wanted: np.ndarray | None = None
    """bool, whether each row's answer is a preferred one; None where answers are not labelled."""
    meta: dict[str, Any] = field(default_factory=dict[str, Any])
    """key, rows, tokens, trained, lengths (percentiles), dropped, truncated, ...: see `meta.json`."""
    tokenizer: Any = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def per_row(self) -> int:
        """Sequences that make one row: 2 for preference pairs, the preferred answer first; else 1."""
        return int(self.meta.get("per_row", 1))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row."""
        return np.diff(self.offsets)

    @property
    def trained(self) -> int:
        """Trained tokens in all rows."""
        return int(self.meta["trained"])

    @property
    def trained_in_rows(self) -> np.ndarray:
        """Trained tokens of each row; int64 [rows]."""
        if not len(self):
            return np.zeros(0, dtype=np.int64)
        return np.add.reduceat(self.mask, self.offsets[:-1], dtype=np.int64)  # no row is empty

    @property
    def dropped(self) -> list[dict[str, Any]]:
        """Rows left out: file, line and reason each."""
        return self.meta["dropped"]["rows"]

    @property
    def truncated(self) -> list[dict[str, Any]]:
        """Rows shortened: file, line, tokens before and after."""
        return self.meta["truncated"]["rows"]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of how the chat template writes these rows."""
        return tuple(self.meta["notes"])

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids (int32) and mask (uint8) of one row."""
        start, end = self.offsets[index], self.offsets[index + 1]
        return self.ids[start:end], self.mask[start:end]

    def where(self, index: int) -> str:
        """File and line of a row, for messages."""
        file, line, _ = self.positions[index]
        return f"{self.meta['files'][file]}, line {line}"


EMPTY = Tokens(
    folder=Path(),
    ids=np.empty(0, np.int32),
    mask=np.empty(0, np.uint8),
    offsets=np.zeros(1, np.int64),
    positions=np.empty((0, 3), np.int64),
    meta={"trained": 0, "dropped": {"count": 0, "rows": []}, "truncated": {"count": 0, "rows": []}, "files": [], "notes": []},
)
"""No rows at all."""
