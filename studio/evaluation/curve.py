"""What the curve of the held-out loss says about the length of the training: too short, too long, or neither."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

LEAST = 4
"""Measurements below which a curve says nothing."""

FALLING = 0.05
"""Share of the loss that the second half of the training still took away: it was not done."""

RISEN = 0.05
"""Share by which the loss at the end exceeds its lowest: the training went on for too long."""


def reading(points: Iterable[Mapping[str, float]]) -> str:
    """Whether the training should have been longer or shorter, in a sentence without its full stop; empty if neither.

    points: the logged steps of a run; those with an `eval_loss` count.
    """
    curve = [(int(point["step"]), float(point["eval_loss"])) for point in points if point.get("eval_loss") is not None]
    if len(curve) < LEAST:
        return ""
    step, lowest = min(curve, key=lambda item: item[1])
    last_step, last = curve[-1]
    if last > lowest * (1 + RISEN):
        return (
            f"overtrained: the held-out loss was lowest at step {step:,} ({lowest:.3f}) and rose to {last:.3f} by step "
            f"{last_step:,}. Stop earlier: take fewer epochs or a lower learning rate, or set training.early_stopping"
        )
    half = curve[(len(curve) - 1) // 2][1]
    if last < half * (1 - FALLING) and last <= lowest * (1 + RISEN / 5):
        return (
            f"still learning: the held-out loss fell from {half:.3f} to {last:.3f} over the second half of the training. "
            f"Train longer: take more epochs, or a higher learning rate"
        )
    return ""
