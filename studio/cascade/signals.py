"""How sure a model was of its answer, read off the likeliest tokens at each position. Each signal lies between 0 and 1."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from studio.cascade.risk import Column
from studio.remote.completion import TokenChoice


def _margins(tokens: Sequence[TokenChoice]) -> list[float]:
    """p of the token written minus p of the likeliest other one."""
    found = []
    for token in tokens:
        others = [logprob for text, logprob in token.top if text != token.token]
        found.append(math.exp(token.logprob) - (math.exp(max(others)) if others else 0.0))
    return found


SIGNALS: dict[str, tuple[str, Callable[[Sequence[TokenChoice]], float]]] = {
    "mean_margin": ("mean over the tokens of p(first choice) - p(second)", lambda tokens: float(np.mean(_margins(tokens)))),
    "least_margin": ("minimum over the tokens of p(first choice) - p(second)", lambda tokens: min(_margins(tokens))),
    "mean_logprob": (
        "geometric mean of the tokens' probabilities",
        lambda tokens: math.exp(float(np.mean([token.logprob for token in tokens]))),
    ),
    "sum_logprob": ("probability of the whole answer", lambda tokens: math.exp(sum(token.logprob for token in tokens))),
    "least_logprob": ("minimum of the tokens' probabilities", lambda tokens: math.exp(min(token.logprob for token in tokens))),
}
"""By name: what it is, and its value for an answer of at least one token. All are free: the engine gives them anyway."""


def read(tokens: Sequence[TokenChoice] | None) -> dict[str, float]:
    """Every signal of an answer; 0 for one without tokens, which nobody can be sure of."""
    if not tokens:
        return dict.fromkeys(SIGNALS, 0.0)
    return {name: min(1.0, max(0.0, value(tokens))) for name, (_, value) in SIGNALS.items()}


def auroc(values: Column, right: Column) -> float:
    """How often a right answer has the higher value than a wrong one, ties counting half (Hanley & McNeil 1982).

    0.5 where all answers are right or all are wrong: nothing is told apart.
    """
    positive, negative = values[right > 0.5], values[right <= 0.5]
    if not len(positive) or not len(negative):
        return 0.5
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    tied = np.searchsorted(ordered, positive, side="right") - below
    return float((below + tied / 2).mean() / len(negative))


def choose(signals: Mapping[str, Column], right: Column) -> tuple[str, dict[str, float]]:
    """The signal with the highest AUROC, and the AUROC of each. Of equals the first, which needs least of an answer."""
    found = {name: auroc(values, right) for name, values in signals.items()}
    return max(found, key=lambda name: found[name]), found
