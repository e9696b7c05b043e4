"""The host does not wait for the device between two looks at it: what is read when, and that nothing goes unseen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import TrainingError
from studio.training import checkpoints, monitor
from tests.training.kit import Memory, weights

pytestmark = pytest.mark.numeric

READS = ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__", "nonzero")
"""Each makes the host wait for the device. On a CPU they cost nothing, and are counted all the same."""


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a card, with a step far shorter than the time between two looks."""
    monkeypatch.setitem(monitor.READ_EVERY, "cpu", 1e9)


@pytest.mark.parametrize("changes", [{"packing": True}, {"packing": False}, {"gradient_checkpointing": True}])
def test_no_step_reads_from_the_device(
    run: Callable[..., Any], seldom: None, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
):
    import torch

    read: list[tuple[int, str]] = []
    step = 0
    for name in READS:
        own = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda *a, own=own, name=name, **k: (read.append((step, name)), own(*a, **k))[1]
        )

    class Follow(Memory):
        def progress(self, done: float, total: float, what: str = "") -> None:
            nonlocal step
            step = int(done) + 1 if what == "step" else step

    run("run", Follow(), held_out=None, save_every=1000, epochs=4, **changes)
    assert {step for step, _ in read} >= {2, 17}  # the first step is looked at, and all the others at the end
    assert [(step, name) for step, name in read if 2 < step < 17] == []


def test_steps_read_late_are_reported_as_if_read_at_once(run: Callable[..., Any], whole: Any, seldom: None):
    fitted, told, job = run()
    assert [step for step, values in told.lines if "loss" in values] == list(range(1, 9))
    for name in ("loss", "grad_norm", "lr", "tokens", "epoch", "eval_loss"):
        assert told.series(name) == whole[1].series(name)
    assert fitted.train_loss == whole[0].train_loss
    assert all((weights(job.adapter_out)[name] == values).all() for name, values in weights(whole[2].adapter_out).items())


def test_a_loss_that_went_bad_between_two_looks_is_found_at_its_step_and_never_saved(
    run: Callable[..., Any], seldom: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    from studio.training.loss_model import LossModel

    calls = []

    def loss(self: LossModel, micro: Any, words: Any = None, own: Callable[..., Any] = LossModel.token_losses) -> Any:
        import torch

        calls.append(torch.is_grad_enabled() and self.in_progress.step > 0)
        return own(self, micro, words) * (float("nan") if sum(calls) > 4 else 1)

    monkeypatch.setattr(LossModel, "token_losses", loss)
    with pytest.raises(TrainingError, match=r"became not a number \(NaN\) at step 5"):
        run("run", held_out=None, save_every=6, batch_size=1)  # so that a step is one micro-batch
    assert checkpoints.newest(tmp_path / "run" / "checkpoints", "") is None
