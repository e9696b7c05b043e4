"""A router that sees the question only: logistic regression on its words and letters. The comparison every cascade has to
win: it needs no answer of the small model first."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from studio.cascade.risk import Column

FEATURES = 1 << 12
STEPS, RATE, DECAY = 300, 0.5, 1e-3
"""Of gradient descent: its steps, rate and L2 penalty."""


class QuestionRouter:
    """How likely the small model answers a question right, by how it answered others."""

    def __init__(self, questions: Sequence[str], right: Column) -> None:
        features = _features(questions)
        self._weights, self._bias = np.zeros(FEATURES), 0.0
        for _ in range(STEPS):
            error = self._probability(features) - right
            self._weights -= RATE * (features.T @ error / len(right) + DECAY * self._weights)
            self._bias -= RATE * float(error.mean())

    def __call__(self, questions: Sequence[str]) -> Column:
        """The probability for each question."""
        return self._probability(_features(questions))

    def _probability(self, features: NDArray[np.float64]) -> Column:
        return 1 / (1 + np.exp(-(features @ self._weights + self._bias)))


def _features(questions: Sequence[str]) -> NDArray[np.float64]:
    """Hashed words and letter triples, each row of length 1: (questions, FEATURES)."""
    found = np.zeros((len(questions), FEATURES))
    for row, question in enumerate(questions):
        words = re.findall(r"\w+", question.lower())
        pieces = [*words, *(f" {word} "[at : at + 3] for word in words for at in range(len(word)))]
        for piece in pieces:
            found[row, zlib.crc32(piece.encode()) % FEATURES] += 1
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
