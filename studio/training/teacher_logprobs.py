"""What a teacher says of tokens: its likeliest words, and how likely it finds all others together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TeacherLogprobs:
    """What a teacher says of tokens, in the order of the sequences: the ids [tokens, k] of its likeliest words, their log p and
    that of all others together [tokens, k + 1], and where each sequence begins [sequences + 1]."""

    ids: np.ndarray
    logps: np.ndarray
    offsets: np.ndarray

    def of(self, numbers: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Ids and log p of the trained tokens of some sequences, one after the other."""
        parts = [slice(self.offsets[number], self.offsets[number + 1]) for number in numbers]
        return (
            np.concatenate([self.ids[part] for part in parts]).astype(np.int64),
            np.concatenate([self.logps[part] for part in parts]),
        )
