"""Fit: what it makes, what it keeps, and when it refuses."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import HardwareError, TrainingError
from studio.training import guards
from tests.training.kit import LENGTHS, Memory, make_rows, weights

pytestmark = pytest.mark.numeric


def logits_of(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model(input_ids=torch.arange(10, 30)[None]).logits


def test_a_run_learns_and_its_adapter_is_loaded_by_plain_peft(run: Callable[..., Any], load: Callable[..., Any]):
    import torch
    from peft import PeftModel

    base = load()
    before = logits_of(base)
    fitted, told, job = run(base=base, epochs=10, learning_rate=2e-2, keep="best", held_out=make_rows(LENGTHS))
    assert fitted.best_loss is not None
    assert fitted.base_loss is not None
    assert fitted.best_loss < fitted.base_loss - 0.2
    assert fitted.peak_memory_bytes > 100 << 20
    assert json.loads(json.dumps(fitted.as_dict()))["best_step"] == fitted.best_step
    assert torch.equal(logits_of(base), before)
    assert not any("lora" in name for name, _ in base.named_modules())
    assert sorted(file.name for file in job.adapter_out.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((job.adapter_out / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == base.name_or_path
    tuned = PeftModel.from_pretrained(load(), job.adapter_out).eval()
    assert not torch.allclose(logits_of(tuned), before, atol=0.1)
    line = told.lines[-2][1]
    assert set(line) == {"loss", "lr", "grad_norm", "tokens", "tokens_per_second", "memory", "epoch"}
    assert line["epoch"] == 10
    assert line["tokens"] == fitted.tokens == 10 * sum(LENGTHS)


def test_the_base_can_be_fitted_again_with_the_same_result(run: Callable[..., Any], load: Callable[..., Any], whole: Any):
    base = load()
    run("one", base=base, max_steps=1)
    _, _, two = run("two", base=base)
    one = whole[2]
    assert all((weights(two.adapter_out)[name] == values).all() for name, values in weights(one.adapter_out).items())


def test_the_best_step_is_kept_not_the_last(run: Callable[..., Any]):
    from studio.training import checkpoints

    fitted, told, job = run(keep="best", eval_every=1, learning_rate=0.5, schedule="constant", warmup=0.0, epochs=3)
    losses = {step: loss for step, loss in told.series("eval_loss").items() if step}
    assert fitted.best_step == fitted.kept_step == min(losses, key=losses.__getitem__)
    assert fitted.best_step < fitted.steps
    best = weights(checkpoints.folder_of(job.checkpoints, fitted.best_step))
    assert all((weights(job.adapter_out)[name] == values).all() for name, values in best.items())
    last, _, _ = run("last", keep="last", eval_every=1, learning_rate=0.5, schedule="constant", warmup=0.0, epochs=3)
    assert last.kept_step == last.steps


def test_early_stopping_waits_as_long_as_asked(run: Callable[..., Any]):
    fitted, told, _ = run(
        keep="best", eval_every=1, early_stopping=2, learning_rate=0.5, schedule="constant", warmup=0.0, epochs=9
    )
    assert fitted.stopped_early
    assert fitted.steps == fitted.best_step + 2
    assert told.series("eval_loss")[0] == fitted.base_loss


def test_without_held_out_rows_the_last_step_is_kept(run: Callable[..., Any]):
    fitted, told, _ = run(held_out=None, keep="best")
    assert fitted.kept_step == fitted.steps == 8
    assert fitted.best_loss is None
    assert told.series("eval_loss") == {}


def test_dora_trains_its_magnitudes(run: Callable[..., Any]):
    _, _, job = run(adapter={"kind": "dora", "rank": 4})
    assert any("magnitude" in name for name in weights(job.adapter_out))


@pytest.mark.parametrize(
    ("targets", "modules"),
    [
        ("attention", {"q_proj", "k_proj", "v_proj", "o_proj"}),
        (["up_proj", "layers.0.self_attn.q_proj"], {"up_proj", "q_proj"}),
    ],
)
def test_adapters_go_where_they_are_told(run: Callable[..., Any], targets: Any, modules: set[str]):
    _, _, job = run(adapter={"rank": 4, "targets": targets}, max_steps=1, held_out=None)
    assert {name.split(".")[-3] for name in weights(job.adapter_out)} == modules


@pytest.mark.parametrize(("name", "near"), [("q_prj", "q_proj"), ("lm_head", "Layers here"), ("embed_tokens", "Layers here")])
def test_a_target_that_is_no_layer_is_refused_with_the_nearest(run: Callable[..., Any], name: str, near: str):
    with pytest.raises(TrainingError) as found:
        run(adapter={"rank": 4, "targets": [name]})
    assert name in found.value.message
    assert near in found.value.hint


@pytest.mark.parametrize("packing", [True, False])
def test_a_4_bit_base_keeps_its_gradients_after_an_evaluation(run: Callable[..., Any], load: Callable[..., Any], packing: bool):
    seldom = run("seldom", base=load(quantization="nf4"), quantized=True, held_out=None, packing=packing)
    often = run("often", base=load(quantization="nf4"), quantized=True, eval_every=1, packing=packing)
    assert often[1].series("grad_norm") == seldom[1].series("grad_norm")
    assert min(often[1].series("grad_norm").values()) > 0.05


def test_16_bit_computing_stays_near_32_bit_and_the_adapter_stays_in_32(
    run: Callable[..., Any], load: Callable[..., Any], whole: Any
):
    import torch

    told = whole[1]
    _, found, job = run(base=load(dtype="bf16"), dtype="bf16")
    assert list(found.series("loss").values()) == pytest.approx(list(told.series("loss").values()), abs=0.03)
    assert {values.dtype for values in weights(job.adapter_out).values()} == {torch.float32}


def test_no_rows_and_no_trained_tokens_are_refused_before_anything_starts(run: Callable[..., Any]):
    with pytest.raises(TrainingError, match="no rows"):
        run(train=make_rows([]), base="never touched")
    with pytest.raises(TrainingError, match="None of the tokens in 2 rows"):
        run(train=make_rows([5, 6], masked=True), base="never touched")
    with pytest.raises(TrainingError, match="A row has 100 tokens and the longest allowed is 64"):
        run(train=make_rows([100]), base="never touched")


def test_a_loss_that_is_no_number_stops_the_run_and_says_at_which_step(run: Callable[..., Any], load: Callable[..., Any]):
    base = load()
    base.model.norm.weight.data.fill_(math.nan)
    with pytest.raises(TrainingError, match="step 1") as found:
        run(base=base, held_out=None)
    assert "learning_rate" in found.value.hint


@pytest.mark.parametrize("norm", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_stops_the_run_before_the_weights_are_touched(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, norm: float
):
    import torch

    steps = iter([1.0, 1.0, norm])
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda weights, max_norm: next(steps))
    reporter = Memory()
    with pytest.raises(TrainingError, match=r"The gradient became .* at step 3"):
        run(reporter=reporter)
    assert list(reporter.series("loss")) == [1, 2]


def test_a_first_loss_of_exactly_zero_is_no_success():
    with pytest.raises(TrainingError, match="exactly 0 over 12 trained tokens"):
        guards.check_loss(0.0, 1, 12)
    guards.check_loss(0.0, 2, 12)


def test_running_out_of_memory_says_where_and_what_to_change(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    from studio.training.loss_model import LossModel

    whole = LossModel.token_losses

    def full(self: LossModel, micro: Any, words: Any = None) -> Any:
        if self.model.training:
            raise MemoryError
        return whole(self, micro, words)

    monkeypatch.setattr(LossModel, "token_losses", full)
    with pytest.raises(HardwareError, match=r"Ran out of memory at step 1: \d rows, \d+ tokens at once") as found:
        run()
    assert "training.micro_batch to 1" in found.value.hint
    assert "gradient_checkpointing" in found.value.hint
    assert "nf4" in found.value.hint


def test_a_full_disk_is_named_and_leaves_the_checkpoint_before(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    import errno

    import torch

    from studio.training import checkpoints

    whole, saved = torch.save, []

    def full(state: Any, file: Path) -> None:
        saved.append(file)
        if len(saved) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(state, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(HardwareError, match="The checkpoint of step 8 could not be written: No space left"):
        run("cut")
    folder = saved[0].parent.parent
    assert [item.name for item in folder.iterdir()] == ["step-000004"]
    found = checkpoints.newest(folder, "")
    assert found is not None
    assert found[1].step == 4


def test_an_8_bit_optimizer_on_a_cpu_falls_back_and_says_so(run: Callable[..., Any]):
    _, told, _ = run(optimizer="paged_adamw_8bit", max_steps=1)
    assert any(event.kind == "warning" and "GPU" in str(event) for event in told.events)


def test_nothing_is_printed(run: Callable[..., Any], load: Callable[..., Any], capfd: pytest.CaptureFixture[str]):
    base = load()
    capfd.readouterr()
    run(base=base)
    assert capfd.readouterr() == ("", "")


def test_progress_and_stop_requests_are_heard_every_step(run: Callable[..., Any]):
    seen: list[tuple[float, float, str]] = []

    class Follow(Memory):
        def progress(self, done: float, total: float, what: str = "") -> None:
            seen.append((done, total, what))

    run(reporter=Follow())
    assert [item for item in seen if item[2] == "step"] == [(step, 8, "step") for step in range(1, 9)]


def test_the_schedule_helpers_need_no_torch():
    import subprocess
    import sys

    code = "import sys, studio.training.schedule, studio.training.fit; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
