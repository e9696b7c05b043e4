"""Answers that the model wrote in training, as rows to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np


class SamplingEngine(Protocol):
    """What writes answers in the trained model's place, with the same base and the adapter as it stands."""

    def new_folder(self) -> Path:
        """An empty folder for the adapter of the next answers; the one before is gone."""
        ...

    def sample(
        self, prompts: Sequence[Sequence[int]], ends: Sequence[int], longest: int, temperature: float, seeds: Sequence[int]
    ) -> list[tuple[list[int], list[float]]]:
        """An answer to each prompt by the adapter in the newest folder: token ids, the end token included, and log p of each.
        seeds: one for each answer.

        Raises TrainingError where the engine fails.
        """
        ...


@dataclass(frozen=True)
class Sampled:
    """Prompts with sampled answers, one sequence each: the answer is trained, weighted by its advantage."""

    sequences: list[tuple[np.ndarray, np.ndarray]]
    """Token ids of prompt and answer, and which are the answer's."""
    advantages: np.ndarray
    """fp32 [sequences]."""
    sampler_losses: list[np.ndarray] = field(default_factory=list)
    """-log p of each answer's tokens by the engine that wrote it; empty where the trained model did."""
    reference_losses: list[np.ndarray] = field(default_factory=list)
    """-log p of each answer's tokens before the first step; empty where the method does not compare."""

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each sequence."""
        return np.array([len(ids) for ids, _ in self.sequences], dtype=np.int64)

    @property
    def trained(self) -> int:
        """Tokens of all answers."""
        return sum(int(mask.sum()) for _, mask in self.sequences)

    @property
    def per_row(self) -> int:
        """Each answer is weighed on its own."""
        return 1

    @property
    def wanted(self) -> None:
        """Answers are weighed, not labelled."""
        return None

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, number: int, /) -> tuple[np.ndarray, np.ndarray]:
        """The token ids of a sequence, and which of them are learned."""
        return self.sequences[number]
