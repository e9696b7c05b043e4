"""Ways of computing a loss, and the rows that they are tried on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio.training.batches import Tokens
from studio.training.layouts import Item

PROBE_TOKENS = 32
PROBE_PROMPT = 8


@dataclass(frozen=True)
class LossPath:
    """How losses are computed: an attention implementation, the head over trained positions or over all, packed or not."""

    attention: str
    trained_only: bool
    packed: bool
    shared: bool = False
    """Whether a prompt with several answers is computed once."""

    def __str__(self) -> str:
        names = {"studio_varlen": "attention in one kernel", "studio_rows": "attention row by row"}
        head = "a score of trained tokens only" if self.trained_only else "a score of every token"
        rows = "packed rows" if self.packed else "padded rows"
        rows = f"{rows}, a prompt computed once for all its answers" if self.shared else rows
        return f"{names.get(self.attention, f'{self.attention} attention')}, {head}, {rows}"


@dataclass(frozen=True)
class Refusal:
    """A path that is not used, and why."""

    path: LossPath
    reason: str


def probe_rows(tokens: Tokens, one_prompt: bool) -> list[Item]:
    """Two short rows of different length with every token learned, from the ends of the data.

    one_prompt: two more before them that begin with the same eight tokens, of which only what follows is learned.
    """
    cut = [tokens[0][0][:PROBE_TOKENS], tokens[len(tokens) - 1][0][: PROBE_TOKENS * 3 // 4]]
    rows = [(ids, np.ones(len(ids), dtype=bool)) for ids in cut]
    if not one_prompt:
        return rows
    prompt = cut[0][:PROBE_PROMPT]
    answers = [np.concatenate([prompt, ids]) for ids in cut]
    return [*((ids, np.arange(len(ids)) >= len(prompt)) for ids in answers), *rows]
