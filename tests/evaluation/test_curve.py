"""The curve of the held-out loss says whether a run was too short or too long."""

from __future__ import annotations

from typing import Any

import pytest

from studio.evaluation.curve import reading


def curve(*losses: float) -> list[dict[str, Any]]:
    steps = [{"step": 10 * place, "eval_loss": loss} for place, loss in enumerate(losses, 1)]
    return [{"step": 1, "loss": 4.0}, *steps]


def test_a_loss_that_is_still_falling_asks_for_a_longer_training():
    said = reading(curve(4.0, 3.0, 2.5, 2.0, 1.6))
    assert said.startswith("still learning: the held-out loss fell from 2.500 to 1.600")
    assert "Train longer" in said


def test_a_run_that_forgets_is_not_told_to_train_longer_though_it_still_learns():
    said = reading(curve(4.0, 3.0, 2.5, 2.0, 1.6), forgets=True)
    assert said.startswith("still learning: the held-out loss fell from 2.500 to 1.600")
    assert "Train longer" not in said
    assert said.endswith("Mix in general rows (data.replay) first")


def test_a_loss_that_rose_again_asks_to_stop_earlier():
    said = reading(curve(4.0, 2.0, 1.5, 1.9, 2.4))
    assert said.startswith("overtrained: the held-out loss was lowest at step 30 (1.500) and rose to 2.400 by step 50")
    assert "Stop earlier" in said


@pytest.mark.parametrize("losses", [(4.0, 2.0, 1.5, 1.48, 1.47), (4.0, 2.0, 1.5, 1.52, 1.53), (4.0, 2.0, 1.0), ()])
def test_a_curve_that_has_settled_or_is_too_short_says_nothing(losses: tuple[float, ...]):
    assert reading(curve(*losses)) == ""
