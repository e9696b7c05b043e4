"""The reference that preference methods compare with: how likely every answer is before the first step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio.training.batches import Tokens


@dataclass(frozen=True)
class Reference:
    """log p of each sequence's trained tokens before the first step, fp32 [sequences]; and of `Mismatched` ones."""

    logps: np.ndarray
    mismatched: np.ndarray | None = None


class Mismatched:
    """Each prompt of `tokens` with the answer to another one, from half the data away, so that pairs come apart.

    A prompt is what stands before the first trained token, an answer what follows it.
    """

    per_row = 1
    wanted: np.ndarray | None = None

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.begins = np.array([int(np.argmax(tokens[row][1])) for row in range(len(tokens))], dtype=np.int64)

    def _other(self, row: int) -> int:
        return (row + max(1, len(self.tokens) // 2)) % len(self.tokens)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each sequence."""
        answers = np.asarray(self.tokens.lengths) - self.begins
        return self.begins + answers[[self._other(row) for row in range(len(self.tokens))]]

    @property
    def trained(self) -> int:
        """As many as there are of the right answers."""
        return self.tokens.trained

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int, /) -> tuple[np.ndarray, np.ndarray]:
        """The token ids of a prompt with another's answer, and which of them are that answer's."""
        other = self._other(row)
        ids, begin = self.tokens[row][0], self.begins[row]
        answer, mask = (part[self.begins[other] :] for part in self.tokens[other])
        return np.concatenate([ids[:begin], answer]), np.concatenate([np.zeros(begin, dtype=mask.dtype), mask])
