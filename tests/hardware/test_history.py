"""Earlier runs correct what formulas cannot know, and only they."""

from __future__ import annotations

from dataclasses import replace

from studio.hardware import history
from studio.hardware.history import RunMeasurement
from studio.hardware.peak import Item

GIB = 1 << 30
RUN = RunMeasurement("RTX 4090", "cuda", 10 * GIB, GIB, 10 * GIB + GIB // 2, 1000.0, 600.0, 3_000_000_000, "bf16", True)


def peaks(*overheads: float) -> list[RunMeasurement]:
    return [replace(RUN, peak=round((10 + part) * GIB)) for part in overheads]


def test_overheads_are_corrected_by_the_median_run() -> None:
    found = history.overheads(peaks(0.9, 1.2, 1.9), "RTX 4090", "cuda")
    assert (round(found.factor, 2), found.runs) == (1.2, 3)
    assert found.explained(round(11.2 * GIB), round(1.2 * GIB)) == "corrected by 3 runs on this machine: +2%"


def test_less_than_three_runs_or_other_machines_correct_nothing() -> None:
    assert history.overheads(peaks(2, 2), "RTX 4090", "cuda") == history.UNCORRECTED
    assert history.overheads(peaks(2, 2, 2), "RTX 3060", "cuda") == history.UNCORRECTED
    assert history.overheads(peaks(2, 2, 2), "RTX 4090", "cpu") == history.UNCORRECTED
    assert history.UNCORRECTED.explained(GIB, GIB // 10) == ""


def test_a_correction_is_bounded_and_forgets_old_runs() -> None:
    assert history.overheads(peaks(9, 9, 9), "RTX 4090", "cuda").factor == 2.0
    on_cpu = [replace(run, device="cpu") for run in peaks(-3, -3, -3)]
    assert history.overheads(on_cpu, "RTX 4090", "cpu").factor == 0.5
    assert history.overheads(peaks(-3, -3, -3), "RTX 4090", "cuda").factor == 1.0, "kernels that are not counted take less"
    assert history.overheads(peaks(*[1.5] * 10, *[0.5] * 30), "RTX 4090", "cuda").factor == 1.5


def test_the_pace_is_that_of_like_runs_as_a_range() -> None:
    runs = [replace(RUN, pace=pace) for pace in (500.0, 600.0, 700.0)]
    found = history.pace(runs, "RTX 4090", 8_000_000_000, "bf16", True)
    assert found is not None
    assert (round(found.low, 2), round(found.high, 2), found.runs) == (0.45, 0.77, 3)
    assert history.pace(runs, "RTX 4090", 100_000_000, "bf16", True) is None
    assert history.pace(runs, "RTX 4090", 3_000_000_000, "bf16", False) is None
    assert history.pace(runs, "RTX 4090", 3_000_000_000, "fp16", True) is None


def test_a_peak_is_compared_with_the_items_it_shows() -> None:
    items = [Item(name, 1) for name in ("base weights", "CUDA context", "evaluation", "fragmentation", "loading")]
    assert history.seen(items) == 2
