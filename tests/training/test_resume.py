"""Runs that cannot be lost: killed, stopped or half-saved, they end as if nothing had happened."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from studio.core.errors import HardwareError, Stopped, TrainingError
from studio.core.events import CheckpointLoaded, CheckpointSaved
from studio.training import adapters, checkpoints
from tests.tiny import make_model
from tests.training.kit import PAIR_LENGTHS, Memory, labelled, make_job, make_pairs, make_rows, weights

pytestmark = pytest.mark.numeric


@pytest.fixture(scope="session")
def fit_in(fit_in: Callable[..., Any]) -> Callable[..., Any]:
    """One thread: that is where resuming is promised bit for bit."""
    return partial(fit_in, threads=1)


@pytest.fixture(scope="session")
def whole(fit_in: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that nothing interrupted, on one thread; not to be changed."""
    return fit_in(tmp_path_factory.mktemp("fits") / "whole")


class Killed(Memory):
    """Kills its own process, as `kill -9` does, once a step is done, and a file is there if one is given."""

    def __init__(self, after: int, there: Path | None = None) -> None:
        super().__init__()
        self.after, self.there = after, there

    def metrics(self, step: int, **values: float) -> None:
        super().metrics(step, **values)
        if step == self.after and "loss" in values:
            end = time.monotonic() + 60
            while self.there is not None and not self.there.exists() and time.monotonic() < end:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)


def killed(run: Callable[..., Any], after: int, name: str, there: Path | None = None, **changes: Any) -> None:
    """Run in a child process that is killed after a step."""

    def alone() -> None:
        import torch

        torch.set_num_threads(1)  # a forked child has none of OpenMP's other threads, and would wait for them for ever
        run(name, Killed(after, there), **changes)

    child = multiprocessing.get_context("fork").Process(target=alone)
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL


def progress_of(folder: Path, step: int) -> Path:
    """What is written last of a checkpoint."""
    return checkpoints.folder_of(make_job(folder).checkpoints, step) / "progress.json"


def same(one: Path, other: Path) -> bool:
    left, right = weights(one), weights(other)
    return left.keys() == right.keys() and all((left[name] == right[name]).all() for name in left)


@pytest.mark.parametrize(
    "changes",
    [
        {"packing": True, "adapter": {"rank": 4, "dropout": 0.2}, "eval_every": 2, "keep": "best", "weight_decay": 0.01},
        {"packing": False, "eval_every": 3, "warmup": 0.3, "schedule": "linear"},
    ],
    ids=["packed-dropout-best", "padded-last"],
)
def test_a_run_killed_and_resumed_ends_with_the_same_weights_bit_for_bit(
    run: Callable[..., Any], tmp_path: Path, changes: dict[str, Any]
):
    whole, told, job = run("whole", **changes)
    assert whole.steps == 8
    killed(run, 5, "cut", progress_of(tmp_path / "cut", 4), **changes)
    again, more, cut = run("cut", **changes)
    resumed = next(event.step for event in more.events if isinstance(event, CheckpointLoaded))
    assert resumed == 4
    assert same(job.adapter_out, cut.adapter_out)
    expected = {step: loss for step, loss in told.series("loss").items() if step > resumed}
    assert more.series("loss") == expected
    assert (again.best_step, again.best_loss, again.base_loss) == (whole.best_step, whole.best_loss, whole.base_loss)
    assert (again.tokens, again.steps) == (whole.tokens, whole.steps)


@pytest.mark.parametrize(
    ("arch", "changes"),
    [
        ("qwen3_moe", {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}),
        ("gpt_oss", {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 8}),
    ],
)
def test_a_mixture_with_experts_in_4_bit_is_resumed_bit_for_bit_and_merges_to_what_was_trained(
    run: Callable[..., Any], load: Callable[..., Any], tmp_path: Path, arch: str, changes: dict[str, Any]
):
    import torch

    from studio.models import loading

    folder = make_model(tmp_path / arch, arch, tie_word_embeddings=False, **changes)

    def base() -> Any:
        return load(folder, "nf4")

    _, told, job = run("whole", base=base(), quantized=True)
    killed(run, 5, "cut", progress_of(tmp_path / "cut", 4), base=base(), quantized=True)
    _, more, cut = run("cut", base=base(), quantized=True)
    assert same(job.adapter_out, cut.adapter_out)
    assert more.series("loss") == {step: loss for step, loss in told.series("loss").items() if step > 4}

    ids = torch.randint(4, 400, (2, 12))
    trained = loading.attach_adapter(base(), cut.adapter_out).eval()
    merged = loading.attach_adapter(loading.dequantize(base()), cut.adapter_out).merge_and_unload(safe_merge=True)
    with torch.inference_mode():
        expected = trained(ids).logits
        assert (merged(ids).logits - expected).abs().max() < 2e-4 * max(1, expected.abs().max())


def test_a_half_written_checkpoint_is_passed_over_and_cleared_away(run: Callable[..., Any], whole: Any, tmp_path: Path):
    killed(run, 7, "cut", progress_of(tmp_path / "cut", 6), save_every=2)
    folder = make_job(tmp_path / "cut").checkpoints
    newest = checkpoints.folder_of(folder, 6)
    aside = newest.parent / f".{newest.name}.abc"
    shutil.copytree(newest, aside)
    (newest / "progress.json").unlink()
    (newest / "adapter_model.safetensors").write_bytes(b"half")
    _, told, cut = run("cut", save_every=2)
    assert CheckpointLoaded(step=4) in told.events
    assert not aside.exists()
    assert same(whole[2].adapter_out, cut.adapter_out)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "optimizer.pt", "adapter_config.json", "progress.json"])
@pytest.mark.parametrize("damage", ["one bit", "zeros", "half", "empty"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(
    run: Callable[..., Any], whole: Any, tmp_path: Path, name: str, damage: str
):
    shutil.copytree(whole[2].checkpoints, tmp_path / "cut" / "checkpoints")
    newest = checkpoints.folder_of(tmp_path / "cut" / "checkpoints", 8)
    content = bytearray((newest / name).read_bytes())
    match damage:
        case "one bit":
            content[len(content) // 2] ^= 1 if name != "progress.json" else 0x80  # no longer text there
        case "zeros":
            content = bytearray(len(content))
        case "half":
            del content[len(content) // 2 :]
        case _:
            content.clear()
    (newest / name).write_bytes(content)
    _, told, cut = run("cut")
    assert CheckpointLoaded(step=4) in told.events
    assert [event for event in told.events if event.kind == "warning" and name in str(event)]
    assert (newest.parent / "damaged-step-000008" / name).read_bytes() == bytes(content)
    assert same(whole[2].adapter_out, cut.adapter_out)


def test_a_checkpoint_of_an_older_version_without_digests_is_resumed(run: Callable[..., Any], whole: Any, tmp_path: Path):
    shutil.copytree(whole[2].checkpoints, tmp_path / "cut" / "checkpoints")
    for progress in (tmp_path / "cut" / "checkpoints").glob("*/progress.json"):
        values = json.loads(progress.read_text())
        del values["digests"]
        progress.write_text(json.dumps(values))
    _, told, cut = run("cut")
    assert CheckpointLoaded(step=8) in told.events
    assert same(whole[2].adapter_out, cut.adapter_out)


def test_a_best_checkpoint_that_is_damaged_is_not_kept(run: Callable[..., Any], tmp_path: Path):
    changes = {"keep": "best", "eval_every": 1, "learning_rate": 0.5, "schedule": "constant", "warmup": 0.0, "epochs": 3}
    fitted, _, job = run("cut", **changes)
    assert fitted.kept_step < fitted.steps
    shutil.rmtree(job.adapter_out)
    (checkpoints.folder_of(job.checkpoints, fitted.best_step) / "adapter_model.safetensors").write_bytes(b"")
    again, told, _ = run("cut", **changes)
    assert again.kept_step == fitted.steps
    assert any(event.kind == "warning" and "the last step is kept" in str(event) for event in told.events)


def test_killed_while_a_checkpoint_is_written_the_one_before_is_whole(
    run: Callable[..., Any], whole: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def write_slowly(file: Path, values: dict[str, Any], own: Callable[..., Any] = checkpoints.write_json) -> Path:
        if file.name == "progress.json" and values["step"] == 6:
            time.sleep(60)
        return own(file, values)

    monkeypatch.setattr(checkpoints, "write_json", write_slowly)
    killed(run, 7, "cut", save_every=2)  # training goes on to step 7 while step 6 is being written
    monkeypatch.undo()
    assert list(make_job(tmp_path / "cut").checkpoints.glob(".step-000006.*/adapter_model.safetensors"))
    _, told, cut = run("cut", save_every=2)
    assert CheckpointLoaded(step=4) in told.events
    assert same(whole[2].adapter_out, cut.adapter_out)


@pytest.mark.parametrize("background", [True, False])
def test_a_checkpoint_holds_its_step_and_not_what_was_trained_while_it_was_written(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, background: bool
):
    shorter, _, job = run("two", max_steps=2, save_every=1, held_out=None, schedule="constant", warmup=0.0)
    assert shorter.steps == 2
    gate = threading.Event()
    if background:
        own = adapters.write_parts
        monkeypatch.setattr(adapters, "write_parts", lambda made, folder: gate.wait(60) and own(made, folder))

    class Open(Memory):
        def metrics(self, step: int, **values: float) -> None:
            super().metrics(step, **values)
            if step == 3:
                gate.set()

    changes = {"save_every": 2, "held_out": None, "schedule": "constant", "warmup": 0.0, "max_steps": 3}
    _, told, longer = run("three", Open(), async_checkpoints=background, **changes)
    assert CheckpointSaved(step=2) in told.events
    folders = [checkpoints.folder_of(each.checkpoints, 2) for each in (job, longer)]
    assert same(*folders)
    one, other = (checkpoints.load_state(folder)["optimizer"]["state"] for folder in folders)
    assert all((one[key]["exp_avg"] == other[key]["exp_avg"]).all() for key in one)
    assert all((one[key]["step"] == other[key]["step"]).all() for key in one)


def test_a_checkpoint_that_could_not_be_written_ends_the_run_with_what_to_do(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    def full(file: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(adapters, "flush", full)
        with pytest.raises(HardwareError, match="checkpoint of step 4 could not be written: No space left") as found:
            run("cut")
    assert "Free some disk space" in (found.value.hint or "")
    _, told, _ = run("cut")
    assert not [event for event in told.events if isinstance(event, CheckpointLoaded)]


def test_a_stopped_run_saves_where_it_is_and_goes_on_from_there(run: Callable[..., Any], whole: Any):
    reporter = Memory(stop_after=3)
    with pytest.raises(Stopped):
        run("cut", reporter)
    assert CheckpointSaved(step=3) in reporter.events
    _, told, cut = run("cut")
    assert CheckpointLoaded(step=3) in told.events
    assert same(whole[2].adapter_out, cut.adapter_out)


def test_a_run_stopped_while_it_measures_measures_again(run: Callable[..., Any]):
    whole, _, job = run("whole", keep="best")

    class StopInside(Memory):
        stop = False

        def progress(self, done: float, total: float, what: str = "") -> None:
            self.stop = what == "held-out row" and bool(self.series("loss"))

        def should_stop(self) -> bool:
            return self.stop

    with pytest.raises(Stopped):
        run("cut", StopInside(), keep="best")
    again, told, cut = run("cut", keep="best")
    assert CheckpointLoaded(step=4) in told.events
    assert 4 in told.series("eval_loss")
    assert (again.best_step, again.best_loss) == (whole.best_step, whole.best_loss)
    assert same(job.adapter_out, cut.adapter_out)


def test_a_finished_run_that_lost_only_its_adapter_folder_does_not_train_again(run: Callable[..., Any]):
    _, _, job = run("whole")
    before = weights(job.adapter_out)
    shutil.rmtree(job.adapter_out)
    again, told, _ = run("whole")
    assert told.series("loss") == {}
    assert again.steps == 8
    assert all((weights(job.adapter_out)[name] == values).all() for name, values in before.items())


def test_a_smaller_micro_batch_may_resume_a_run_and_another_learning_rate_may_not(run: Callable[..., Any]):
    with pytest.raises(Stopped):
        run("cut", Memory(stop_after=3))
    with pytest.raises(TrainingError, match="other settings"):
        run("cut", learning_rate=1e-3)
    _, told, _ = run("cut", micro_batch=1, gradient_checkpointing=True)
    assert CheckpointLoaded(step=3) in told.events


def test_only_the_last_two_checkpoints_and_the_best_are_kept(run: Callable[..., Any]):
    fitted, _, job = run("run", save_every=1, eval_every=1, keep="best", learning_rate=0.9, schedule="constant", warmup=0.0)
    kept = sorted(int(folder.name[5:]) for folder in job.checkpoints.iterdir())
    assert kept == sorted({7, 8, fitted.best_step})
    assert all((file.stat().st_mode & 0o777) == 0o644 for file in job.adapter_out.iterdir())


def test_a_checkpoint_is_on_the_disk_with_its_name_before_an_earlier_one_goes(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    done: list[str] = []
    sync, remove = os.fsync, shutil.rmtree

    def synced(handle: int) -> None:
        done.append("synced " + Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        sync(handle)

    def removed(path: Any, *rest: Any, **more: Any) -> None:
        done.append("removed " + Path(path).name)
        remove(path, *rest, **more)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(shutil, "rmtree", removed)
    _, _, job = run("run", save_every=1, keep="last")
    assert "removed step-000001" in done
    before = done[: done.index("removed step-000001")]
    states = [place for place, what in enumerate(before) if what == "synced optimizer.pt"]
    assert len(states) == 3, "two are kept beside it"
    after = before[states[-1] + 1 :]
    assert after[-1] == f"synced {job.checkpoints.name}", "the name comes last"
    assert any(what.startswith("synced .step-000003.") for what in after), "and the names in it before"


@pytest.mark.parametrize("method", ["dpo", "orpo", "simpo", "kto", "reward"])
def test_a_preference_run_that_was_killed_ends_with_the_weights_of_one_that_was_not(
    method: str, run: Callable[..., Any], tmp_path: Path
):
    pairs = make_pairs(PAIR_LENGTHS)
    rows = labelled(pairs) if method == "kto" else pairs
    settings: dict[str, Any] = {
        "method": method,
        "train": rows,
        "held_out": rows,
        "batch_size": 4,
        "epochs": 4,
        "save_every": 2,
    }
    run("whole", **settings)
    killed(run, 5, "cut", progress_of(tmp_path / "cut", 4), **settings)
    kept = [file.stat().st_mtime_ns for file in (tmp_path / "cut").glob("checkpoints/reference.npz")]
    assert len(kept) == (method in ("dpo", "kto"))
    run("cut", **settings)
    assert same(tmp_path / "whole" / "adapter", tmp_path / "cut" / "adapter")
    assert [file.stat().st_mtime_ns for file in (tmp_path / "cut").glob("checkpoints/reference.npz")] == kept  # scored once


def test_scores_from_before_training_that_are_damaged_are_made_again_and_the_run_ends_the_same(
    fit_in: Callable[..., Any], tmp_path: Path
):
    pairs = make_pairs(PAIR_LENGTHS)
    settings: dict[str, Any] = {
        "method": "dpo",
        "train": pairs,
        "held_out": None,
        "batch_size": 4,
        "epochs": 4,
        "save_every": 2,
    }
    fit_in(tmp_path / "whole", **settings)
    with pytest.raises(Stopped):
        fit_in(tmp_path / "cut", Memory(stop_after=3), **settings)
    (tmp_path / "cut" / "checkpoints" / "reference.npz").write_bytes(b"PK\x03\x04 half of it")
    fit_in(tmp_path / "cut", **settings)
    assert same(tmp_path / "whole" / "adapter", tmp_path / "cut" / "adapter")


def test_a_run_on_its_own_answers_that_was_killed_ends_with_the_weights_of_one_that_was_not(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from tests.training.test_grpo import verification

    monkeypatch.setattr("studio.models.generation.stop_ids", lambda *_: tuple(range(2, 500, 5)))

    rows = make_rows([12, 30, 18, 24])
    settings: dict[str, Any] = {
        "method": {"kind": "grpo", "group": 4, "max_new_tokens": 8, "beta": 0.1},
        "verification": verification(),
        "train": rows,
        "held_out": rows,
        "batch_size": 2,
        "epochs": 3,
        "save_every": 2,
    }
    run("whole", **settings)
    killed(run, 5, "cut", progress_of(tmp_path / "cut", 4), **settings)
    run("cut", **settings)
    assert same(tmp_path / "whole" / "adapter", tmp_path / "cut" / "adapter")
