"""Part 3: whole runs of the starter on the GPU: trained, judged, merged, verified; cut and resumed; out of memory."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from unittest import mock

from bench.first_card.bench import Bench, free
from studio import pipeline
from studio.core import resources
from studio.runs import folder as folders
from studio.runs.folder import RunFolder
from studio.runs.recorder import Recorder
from studio.runs.status import Status
from studio.spec import RunSpec

FORMATS = (("bf16", "adamw"), ("bf16", "adamw_8bit"), ("bf16", "paged_adamw_8bit"), ("fp16", "adamw"))


def measure(bench: Bench) -> None:
    """The main job, small."""
    with bench.check("a run from data to a verified merged model") as values:
        run, _ = _run(bench, "whole", export=[{"kind": "merged"}], model={"name": "starter", "quantization": "nf4"})
        values["state"] = Status.read(run.status).state
        assert (run.path / "evaluation" / "report.json").exists(), "no evidence report"
        (made,) = (run.path / "exports").glob("*/artifact.json")
        assert '"status": "failed"' not in made.read_text("utf-8")
    for dtype, optimizer in FORMATS:
        with bench.check(f"cut and gone on with: {dtype}, {optimizer}") as values:
            values |= _resumed(bench, dtype, optimizer)
    with bench.check("out of memory on the way is recovered from") as values:
        values |= _short_of_memory(bench)
    with bench.check("an answer is streamed") as values:
        values |= _streamed(bench)
    with bench.check("memory is given back"):
        free()
        import torch

        assert torch.cuda.memory_allocated() < 256 << 20, f"{torch.cuda.memory_allocated() >> 20} MiB are still held"


def _rows(bench: Bench) -> Path:
    file = bench.folder / "rows.jsonl"
    if not file.exists():
        lines = (resources.folder("datasets") / "support.jsonl").read_text("utf-8").splitlines()
        file.write_text("\n".join(lines[: bench.sizes(120, 20)]) + "\n", encoding="utf-8")
    return file


def _spec(bench: Bench, name: str, **sections: Any) -> RunSpec:
    training = {
        "max_steps": 8,
        "batch_size": 4,
        "micro_batch": 4,
        "save_every": 2,
        "eval_every": 4,
        **sections.pop("training", {}),
    }
    values = {
        "name": name,
        "model": {"name": "starter"},
        "data": {"train": str(_rows(bench)), "holdout": 0.2 if name == "whole" else 0, "replay": 0},
        "training": training,
        "evaluation": {"max_new_tokens": 8, "general": "off"},
        "tracking": {"wandb": "off"},
        **sections,
    }
    return RunSpec.model_validate(values)


class _Cut(Recorder):
    """Asks to stop once step `after` was reported."""

    after = 10**9

    def metrics(self, step: int, **values: float) -> None:
        super().metrics(step, **values)
        self.stop_asked = self.stop_asked or step >= self.after


def _run(bench: Bench, name: str, after: int = 10**9, **sections: Any) -> tuple[RunFolder, Recorder]:
    home = bench.folder / "home"
    run = next((item for item in folders.all_runs(home) if item.path.name.startswith(f"{name}-")), None)
    run = run or folders.create(_spec(bench, name, **sections), home)
    recorder = _Cut(run)
    recorder.after = after
    pipeline.run(run, recorder)
    recorder.end("done")
    return run, recorder


def _resumed(bench: Bench, dtype: str, optimizer: str) -> dict[str, Any]:
    """The loss of a run that was stopped and gone on with, and that of one that was not."""
    from studio.core.errors import Stopped

    settings: dict[str, Any] = {
        "model": {"name": "starter", "dtype": dtype, "quantization": "nf4"},
        "training": {"optimizer": optimizer},
    }
    name = f"{dtype}-{optimizer.replace('_', '-')}"
    whole, _ = _run(bench, f"whole-{name}", **settings)
    try:
        _run(bench, f"cut-{name}", after=4, **settings)
        raise AssertionError("it was not cut")
    except Stopped:
        pass
    cut, _ = _run(bench, f"cut-{name}", **settings)
    losses = [[point["loss"] for point in run.read_metrics() if "loss" in point][-1] for run in (whole, cut)]
    assert abs(losses[0] - losses[1]) <= 0.02 * abs(losses[0]), f"the last loss is {losses[1]:.4f} instead of {losses[0]:.4f}"
    return {"last_loss": losses, "bit_for_bit": losses[0] == losses[1]}


def _short_of_memory(bench: Bench) -> dict[str, Any]:
    """The GPU's memory ends in the fourth loss of training, once."""
    import torch

    from studio.training.loss_model import LossModel

    own, calls = LossModel.token_losses, [0]

    def losses(self: LossModel, micro: Any, words: Any = None) -> Any:
        calls[0] += self.in_progress.step > 0
        if calls[0] == 4:
            calls[0] += 1
            if bench.pretend:
                raise torch.OutOfMemoryError("CUDA out of memory")
            torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
        return own(self, micro, words)

    with mock.patch.object(LossModel, "token_losses", losses):
        run, _ = _run(bench, "short")
    changed = run.resolved_spec().training.micro_batch
    assert changed < 4, "the micro-batch was not made smaller"
    return {"micro_batch": changed}


def _streamed(bench: Bench) -> dict[str, Any]:
    from studio.app import runs
    from studio.app.chat import Talker

    run = next(item for item in folders.all_runs(bench.folder / "home") if item.path.name.startswith("whole-"))
    talker = Talker(runs.find(run.path, bench.folder / "home"))
    began, pieces = time.perf_counter(), []
    for piece in talker.say([{"role": "user", "content": "Hello"}], tuned=True, max_tokens=16):
        pieces.append(time.perf_counter() - began)
        assert isinstance(piece, str)
    return {"pieces": len(pieces), "first_s": round(pieces[0], 3) if pieces else None}
