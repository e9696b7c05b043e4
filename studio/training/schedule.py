"""How many steps a run takes and how the learning rate goes. Plain arithmetic, no torch."""

from __future__ import annotations

import math

from studio.training.settings import Training


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Optimizer steps in one epoch; the last one may hold fewer rows."""
    return math.ceil(rows / batch_size)


def total_steps(rows: int, batch_size: int, epochs: float, max_steps: int | None = None) -> int:
    """Optimizer steps of a whole run over `rows` rows, at most `max_steps`."""
    steps = max(1, math.ceil(epochs * steps_per_epoch(rows, batch_size) - 1e-9))
    return min(steps, max_steps) if max_steps else steps


def rate_factor(step: int, total: int, training: Training) -> float:
    """The share of `training.learning_rate` used at step `step` (from 0) of `total`.

    It rises linearly over `training.warmup` of the steps, never from zero, then follows `training.schedule` to zero,
    which is reached one step after the last, so that no step is wasted.
    """
    warm = round(total * training.warmup)
    if step < warm:
        return (step + 1) / (warm + 1)
    gone = min(1.0, (step - warm) / max(1, total - warm))
    match training.schedule:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * gone))
        case "linear":
            return 1 - gone
        case _:
            return 1.0
