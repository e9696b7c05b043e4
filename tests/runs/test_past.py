"""What is learned from earlier runs is read from their folders."""

from __future__ import annotations

from pathlib import Path

from studio.core.files import read_json, write_json
from studio.runs import folder as folders
from studio.runs.folder import RunFolder
from studio.runs.past import past
from studio.runs.recorder import Recorder
from studio.spec import parse

SPEC = parse({"name": "bot", "data": {"train": "x.csv"}})


def measured(root: Path, peak: int = 900, factor: float = 2.0) -> RunFolder:
    folder = folders.create(SPEC, root)
    items = [("base weights", 500), ("evaluation", 70), ("fragmentation", 40), ("process", 160)]
    plan = {
        "machine": "a CPU",
        "device": "cpu",
        "memory": {"items": [{"name": name, "bytes": size} for name, size in items]},
        "spec": {"model": {"dtype": "fp32"}, "training": {"packing": True}},
        "counts": {"padding": 0.2},
        "measured": {"peak": peak},
        "corrected": {"factor": factor, "runs": 3},
        "expected": 50.0,
        "parameters": 1000,
    }
    write_json(folder.plan, plan)
    recorder = Recorder(folder)
    for step, pace in enumerate((1.0, 2.0, 40.0, 40.0, 40.0, 41.0), 1):
        recorder.metrics(step, loss=1.0, tokens_per_second=pace)
    return folder


def test_a_measured_run_says_what_was_predicted_without_correction_and_how_fast_it_was_when_warm(tmp_path: Path) -> None:
    measured(tmp_path)
    (found,) = past(tmp_path)
    assert (found.explained, found.overhead, found.peak) == (500, 100, 900)
    assert (found.machine, found.device, found.dtype, found.packed, found.parameters) == ("a CPU", "cpu", "fp32", True, 1000)
    assert (found.expected, found.pace) == (50.0, 50.0)


def test_runs_that_were_not_measured_or_ran_out_of_memory_or_are_broken_say_nothing(tmp_path: Path) -> None:
    folders.create(SPEC, tmp_path)
    broken, short = measured(tmp_path), measured(tmp_path)
    broken.plan.write_text("{")
    write_json(short.plan, {**read_json(short.plan), "changes": [{"field": "training.micro_batch"}]})
    assert past(tmp_path) == []
