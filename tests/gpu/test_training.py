"""Training as it goes on a GPU, on the pretend one: number formats, optimizers, checkpointing, resume, old and second GPUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import OutOfMemory, Stopped
from studio.training import monitor
from tests.training.kit import Memory, make_job, weights

pytestmark = pytest.mark.numeric


@pytest.fixture
def gpu() -> Iterator[Counter[str]]:
    from tests.gpu.pretend import pretend_gpu

    with pretend_gpu() as seen:
        yield seen


@pytest.fixture(scope="session")
def tokenizer(tiny_model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def base(folder: Path, dtype: str = "bf16", quantization: str = "none") -> Any:
    from studio.models.loading import load_base
    from studio.models.settings import Model

    values = {"name": str(folder), "quantization": quantization, "dtype": dtype, "attention": "sdpa"}
    return load_base(Model.model_validate(values), "cuda")


@pytest.fixture
def fit(tiny_model: Path, tokenizer: Any, tmp_path: Path) -> Callable[..., Any]:
    """Fit the tiny model on the pretend GPU: `fit("name", dtype="fp16")` gives result, reporter, job."""
    from studio.training.fit import fit

    def fit_as(
        name: str = "run", reporter: Memory | None = None, dtype: str = "bf16", quantization: str = "none", **changes: Any
    ):
        listener = reporter or Memory()
        quantized = quantization != "none"
        job = make_job(tmp_path / name, device="cuda", dtype=dtype, quantized=quantized, **changes)
        return fit(base(tiny_model, dtype, quantization), tokenizer, job, listener), listener, job

    return fit_as


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit", "paged_adamw_8bit"])
@pytest.mark.parametrize(("dtype", "quantization"), [("bf16", "nf4"), ("bf16", "none"), ("fp16", "nf4"), ("fp32", "none")])
def test_every_number_format_trains_with_every_optimizer(
    gpu: Counter[str], fit: Callable[..., Any], dtype: str, quantization: str, optimizer: str, checkpointing: bool
) -> None:
    result, said, _ = fit(
        dtype=dtype, quantization=quantization, optimizer=optimizer, gradient_checkpointing=checkpointing, epochs=1
    )
    losses = list(said.series("loss").values())
    assert result.steps == len(losses) == 4
    assert result.last_loss < result.base_loss


WAITS_AT_STEP = 1e9
"""Seconds between two readings: none but of the first and the last step."""


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit"])
@pytest.mark.parametrize("changes", [{"packing": True}, {"packing": False}, {"gradient_checkpointing": True}])
def test_no_step_makes_the_host_wait(
    gpu: Counter[str], fit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, optimizer: str, changes: dict[str, Any]
) -> None:
    from tests.gpu.pretend import WAITS

    monkeypatch.setitem(monitor.READ_EVERY, "cuda", WAITS_AT_STEP)
    before: dict[int, int] = {}

    class Follow(Memory):
        def progress(self, done: float, total: float, what: str = "") -> None:
            if what == "step":
                before[int(done)] = sum(count for name, count in gpu.items() if name in WAITS)

    fit(reporter=Follow(), held_out=None, epochs=3, save_every=1000, optimizer=optimizer, quantization="nf4", **changes)
    assert len(before) == 12
    assert [before[step + 1] - before[step] for step in range(2, 11)] == [0] * 9


@pytest.mark.parametrize(("dtype", "optimizer"), [("bf16", "adamw"), ("fp16", "adamw_8bit"), ("bf16", "paged_adamw_8bit")])
def test_a_run_that_was_cut_goes_on_with_the_weights_of_one_that_was_not(
    gpu: Counter[str], fit: Callable[..., Any], dtype: str, optimizer: str
) -> None:
    import torch

    settings = {"dtype": dtype, "optimizer": optimizer, "save_every": 3}
    _, _, whole = fit("whole", **settings)
    with pytest.raises(Stopped):
        fit("cut", Memory(stop_after=5), **settings)
    _, _, cut = fit("cut", **settings)
    for name, values in weights(whole.adapter_out).items():
        torch.testing.assert_close(weights(cut.adapter_out)[name], values, rtol=0, atol=0)


def test_a_run_goes_on_where_there_are_fewer_gpus_than_before(fit: Callable[..., Any]) -> None:
    from tests.gpu.pretend import pretend_gpu

    with pretend_gpu(count=2), pytest.raises(Stopped):
        fit(reporter=Memory(stop_after=5))
    with pretend_gpu(count=1):
        result, *_ = fit()
    assert result.steps == 8


def test_paged_states_are_paged_again_after_a_resume(
    gpu: Counter[str], fit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from bitsandbytes.optim.adamw import PagedAdamW8bit

    with pytest.raises(Stopped):
        fit(reporter=Memory(stop_after=5), optimizer="paged_adamw_8bit")
    paged: list[int] = []
    own = PagedAdamW8bit.get_state_buffer

    def buffer(self: Any, weights: Any, dtype: Any) -> Any:
        paged.append(weights.numel())
        return own(self, weights, dtype)

    monkeypatch.setattr(PagedAdamW8bit, "get_state_buffer", buffer)
    fit(optimizer="paged_adamw_8bit")
    assert len(paged) == 2 * 28, "two states of two matrices on seven layers twice"


def test_a_gpu_without_flash_attention_trains_row_by_row_and_the_note_says_what_refused(fit: Callable[..., Any]) -> None:
    from tests.gpu.pretend import pretend_gpu

    with pretend_gpu(capability=(7, 5)):
        result, said, _ = fit(dtype="fp16", quantization="nf4")
    assert result.last_loss < result.base_loss
    (note,) = [event.message for event in said.events if "slower than usual" in getattr(event, "message", "")]
    assert "attention row by row" in note
    assert "FlashAttention only supports Ampere GPUs or newer" in note


def test_a_kernel_whose_backward_pass_is_wrong_is_refused_before_the_first_step(
    gpu: Counter[str], fit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from studio.training import attention

    own = attention.attend_varlen

    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, values: Any) -> Any:
            return values.clone()

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return 3 * gradients[0]

    monkeypatch.setattr(
        attention, "attend_varlen", lambda module, q, k, v, *more, **named: own(module, q, k, Doubled.apply(v), *more, **named)
    )
    _, said, _ = fit()
    (note,) = [event.message for event in said.events if "slower than usual" in getattr(event, "message", "")]
    assert "its gradient differs" in note


def test_running_out_of_memory_while_paths_are_tried_is_not_taken_for_a_refusal(
    gpu: Counter[str], fit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from studio.training import attention

    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(attention, "attend_varlen", full)
    with pytest.raises(OutOfMemory):
        fit()


@pytest.mark.parametrize("losses", [1, 3, 5])
def test_out_of_memory_at_any_loss_can_be_gone_on_from_with_fewer_rows_at_once(
    gpu: Counter[str], fit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, losses: int
) -> None:
    import torch

    from studio.training.loss_model import LossModel

    exact = {"dtype": "fp32", "held_out": None, "epochs": 1}
    _, _, whole = fit("whole", **exact)
    own, computed = LossModel.token_losses, [0]

    def token_losses(self: LossModel, micro: Any, words: Any = None) -> Any:
        computed[0] += self.in_progress.step > 0
        if computed[0] == losses:
            computed[0] += 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return own(self, micro, words)

    monkeypatch.setattr(LossModel, "token_losses", token_losses)
    with pytest.raises(OutOfMemory, match="at step"):
        fit("short", save_every=2, **exact)
    result, _, short = fit("short", save_every=2, micro_batch=1, **exact)
    assert result.steps == 4
    for name, values in weights(whole.adapter_out).items():
        torch.testing.assert_close(weights(short.adapter_out)[name], values, rtol=0, atol=2e-5)


@pytest.mark.parametrize("window", [8, 40])
def test_a_sliding_window_stays_on_the_fast_path_and_gives_the_same_losses(
    gpu: Counter[str], tokenizer: Any, tmp_path: Path, window: int
) -> None:
    from studio.training.fit import fit
    from tests.tiny import make_model

    model = make_model(tmp_path / "model", "mistral", sliding_window=window)
    said = Memory()
    fit(base(model), tokenizer, make_job(tmp_path, device="cuda", dtype="bf16", held_out=None), said)
    assert not [event for event in said.events if "slower than usual" in getattr(event, "message", "")]


def test_the_norm_of_a_step_that_fp16_skipped_is_left_out_not_written_as_infinity(
    gpu: Counter[str], fit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    own = torch.nn.utils.clip_grad_norm_
    called = [0]

    def clip(parameters: Any, *more: Any) -> Any:
        called[0] += 1
        norm = own(parameters, *more)
        return norm * float("inf") if called[0] == 3 else norm

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", clip)
    _, said, _ = fit(dtype="fp16", held_out=None)
    assert sorted(said.series("loss")) == list(range(1, 9))
    assert 3 not in said.series("grad_norm")
    assert len(said.series("grad_norm")) == 7
