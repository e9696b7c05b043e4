"""Running out of memory while training is not the end of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio import pipeline
from studio.core.errors import HardwareError, OutOfMemory, error_from
from studio.core.events import CheckpointLoaded, Warning
from studio.planner import next_oom_fallback
from studio.runs import folder as folders
from studio.runs.folder import RunFolder
from studio.runs.plan import PlanRecord
from studio.runs.recorder import Recorder
from studio.runs.run_history import measured_runs
from studio.spec import RunSpec, edit, parse
from tests.tiny import THREADS, make_model

pytestmark = pytest.mark.numeric


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    folder = tmp_path_factory.mktemp("asked")
    make_model(folder / "model")
    rows = [
        {"prompt": f"what is the price of lamp {n}", "completion": f"it costs {n} euro" + " please" * (n % 5)}
        for n in range(24)
    ]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    training = {
        "epochs": 1,
        "batch_size": 4,
        "micro_batch": 4,
        "packing": False,
        "save_every": 2,
        "eval_every": 9,
        "threads": THREADS,
    }
    return parse(
        {
            "name": "small",
            "model": {"name": str(folder / "model"), "quantization": "none", "dtype": "fp32"},
            "data": {"train": str(folder / "rows.jsonl"), "holdout": 0},
            "adapter": {"rank": 4},
            "training": {**training, "gradient_checkpointing": False, "learning_rate": 1e-2},
            "tracking": {"wandb": "off"},
        }
    )


def trained(spec: RunSpec, home: Path) -> RunFolder:
    folder = folders.create(spec, home)
    recorder = Recorder(folder)
    prepared = pipeline.make_ready(folder, spec, recorder)
    pipeline.train(folder, prepared, recorder)
    return folder


def weights(folder: RunFolder) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return load_file(folder.adapter / "adapter_model.safetensors")


def full_beyond(monkeypatch: pytest.MonkeyPatch, rows: int, after: int = 0) -> None:
    """From the forward pass number `after` on, a device that holds at most so many rows of a training step."""
    import torch
    from transformers.models.llama.modeling_llama import LlamaModel

    whole, passed = LlamaModel.forward, [0]

    def forward(self: Any, *args: Any, **inputs: Any) -> Any:
        if torch.is_grad_enabled() and self.training:  # not while paths are tried
            passed[0] += 1
            if inputs["input_ids"].shape[0] > rows and passed[0] > after:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, *args, **inputs)

    monkeypatch.setattr(LlamaModel, "forward", forward)


def test_a_run_out_of_memory_goes_on_with_half_the_rows_at_once_and_the_same_result(
    asked: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    wanted = trained(edit(asked, {"training.micro_batch": 1}), tmp_path / "wanted")
    full_beyond(monkeypatch, rows=1, after=3)
    folder = trained(asked, tmp_path / "short")
    for name, values in weights(wanted).items():
        np.testing.assert_allclose(weights(folder)[name], values, atol=2e-5)

    (said,) = measured_runs(tmp_path / "wanted")
    assert said.peak == PlanRecord.read(wanted.plan).measured.peak > 0  # type: ignore[union-attr]
    assert said.overhead > 0
    assert said.pace > 0
    assert said.expected > 0
    assert measured_runs(tmp_path / "short") == [], "a run that ran out of memory was not done as predicted"

    assert folder.spec().training.micro_batch == 1
    assert folder.spec().training.batch_size == 4
    plan, events = PlanRecord.read(folder.plan), list(folder.read_events())
    assert [change.after for change in plan.changes] == [2, 1]
    assert "Ran out of memory at step 4" in plan.changes[0].reason
    warned = [event.message for event in events if isinstance(event, Warning) and event.field]
    assert len(warned) == 2
    assert "2 instead of 4 rows at once; the effective batch stays 4" in warned[0]
    assert "1 instead of 2 rows at once" in warned[1]
    assert [event.step for event in events if isinstance(event, CheckpointLoaded)] == [2, 2]


def test_after_the_last_row_checkpointing_is_tried_and_then_the_error_is_told(
    asked: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_beyond(monkeypatch, rows=0)
    with pytest.raises(OutOfMemory, match="Ran out of memory at step 1") as found:
        trained(edit(asked, {"training.micro_batch": 2}), tmp_path)
    assert "nf4" in found.value.hint
    assert isinstance(found.value, HardwareError)
    assert isinstance(error_from(found.value.as_dict()), OutOfMemory)
    spec = RunFolder(next((tmp_path / "runs").iterdir())).spec()
    assert (spec.training.micro_batch, spec.training.gradient_checkpointing) == (1, True)


def test_the_micro_batch_is_halved_before_activations_are_computed_again(asked: RunSpec) -> None:
    def after(changes: dict[str, Any], cuda: bool = False) -> tuple[str, Any] | None:
        return next_oom_fallback(edit(asked, changes), cuda)  # pyright: ignore[reportArgumentType]

    alone = {"training.micro_batch": 1}
    assert after({"training.micro_batch": 4}) == ("training.micro_batch", 2)
    assert after({"training.batch_size": 18, "training.micro_batch": 9}) == ("training.micro_batch", 3)
    assert after(alone) == ("training.gradient_checkpointing", True)
    some = {**alone, "training.gradient_checkpointing": True, "training.recompute_every": 4}
    assert after(some) == ("training.recompute_every", 1)
    every = {**some, "training.recompute_every": 1}
    assert after(every) is None
    assert after(every, cuda=True) == ("training.activation_offloading", True)
    assert after({**every, "training.activation_offloading": True}, cuda=True) is None
