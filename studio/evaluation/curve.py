"""What the curve of the held-out loss says about the length of the training: too short, too long, or neither."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

LEAST = 4
"""Measurements below which a curve says nothing."""

FALLING = 0.05
"""Share of the loss that the second half of the training still took away: it was not done."""

RISEN = 0.05
"""Share by which the loss at the end exceeds its lowest: the training went on for too long."""


def reading(points: Iterable[Mapping[str, float]], forgets: bool = False) -> str:
    """Whether the training should have been longer or shorter, in a sentence without its full stop; empty if neither.

    points: the logged steps of a run; those with an `eval_loss` count. forgets: whether the run lost general skills, of which
    a longer one would lose more.
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
        longer = (
            "Do not train longer as it is: more of the general skills would be lost. Mix in general rows (data.replay) first"
            if forgets
            else "Train longer: take more epochs, or a higher learning rate"
        )
        fell = f"the held-out loss fell from {half:.3f} to {last:.3f} over the second half of the training"
        return f"still learning: {fell}. {longer}"
    return ""
