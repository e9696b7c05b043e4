"""What is learned from earlier runs is read from their folders."""

from __future__ import annotations

from pathlib import Path

from studio.hardware.history import Correction
from studio.hardware.peak import Item
from studio.runs import folder as folders
from studio.runs.folder import RunFolder
from studio.runs.plan import Counts, Measured, MemoryEstimate, PlanRecord
from studio.runs.recorder import Recorder
from studio.runs.run_history import measured_runs
from studio.spec import parse

SPEC = parse({"name": "bot", "data": {"train": "x.csv"}})


def measured(root: Path, peak: int = 900, factor: float = 2.0) -> RunFolder:
    folder = folders.create(SPEC, root)
    items = [("base weights", 500), ("evaluation", 70), ("fragmentation", 40), ("process", 160)]
    PlanRecord(
        spec={"model": {"dtype": "fp32"}, "training": {"packing": True}},
        machine="a CPU",
        device="cpu",
        fits=True,
        decisions=(),
        memory=MemoryEstimate(total=770, items=tuple(Item(name, size) for name, size in items)),
        counts=Counts(10, 0, 0, 1000, 500, 6, 200.0, 0.2, 100, False),
        measured=Measured(predicted=500, peak=peak),
        corrected=Correction(factor, 3),
        expected=50.0,
        parameters=1000,
    ).write(folder.plan)
    recorder = Recorder(folder)
    for step, pace in enumerate((1.0, 2.0, 40.0, 40.0, 40.0, 41.0), 1):
        recorder.metrics(step, loss=1.0, tokens_per_second=pace)
    return folder


def test_a_measured_run_says_what_was_predicted_without_correction_and_how_fast_it_was_when_warm(tmp_path: Path) -> None:
    measured(tmp_path)
    (found,) = measured_runs(tmp_path)
    assert (found.explained, found.overhead, found.peak) == (500, 100, 900)
    assert (found.machine, found.device, found.dtype, found.packed, found.parameters) == ("a CPU", "cpu", "fp32", True, 1000)
    assert (found.expected, found.pace) == (50.0, 50.0)


def test_runs_that_were_not_measured_or_ran_out_of_memory_or_are_broken_say_nothing(tmp_path: Path) -> None:
    folders.create(SPEC, tmp_path)
    broken, short = measured(tmp_path), measured(tmp_path)
    broken.plan.write_text("{")
    PlanRecord.read(short.plan).with_change("training.micro_batch", 1, "out of memory").write(short.plan)
    assert measured_runs(tmp_path) == []
