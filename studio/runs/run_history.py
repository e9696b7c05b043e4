"""What the runs of a studio folder say for the next plan: predicted against measured, newest first."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from studio.core.records import RecordError
from studio.hardware.history import LAST, OVERHEADS, UNSEEN, RunMeasurement, seen
from studio.hardware.memory import VLLM
from studio.runs import folder as folders
from studio.runs.folder import RunFolder
from studio.runs.plan import PlanRecord

LOOKED_AT = 5 * LAST
"""Run folders that are opened at most, newest first: a plan must not wait for a long history."""
WARM_UP = 0.25
"""The share of the logged steps that is left out of a run's pace."""


def measured_runs(root: Path) -> list[RunMeasurement]:
    """The runs below `root` that were planned, trained and measured, newest first; unreadable folders are passed over."""
    found = (of(folder) for folder in folders.all_runs(root)[:LOOKED_AT])
    return [run for run in found if run]


def of(folder: RunFolder) -> RunMeasurement | None:
    """What one run says; None if it was not measured."""
    try:
        plan = PlanRecord.read(folder.plan)
        measured, spec = plan.measured, plan.spec
        if not measured or plan.changes:
            return None  # a run that ran out of memory was not done as predicted
        items = {item.name: item.bytes for item in plan.memory.items}
        held = sum(items.get(name, 0) for name in OVERHEADS if name not in UNSEEN)
        return RunMeasurement(
            machine=plan.machine,
            device=plan.device,
            explained=seen(plan.memory.items) - held,
            overhead=round(held / plan.corrected.factor),
            peak=measured.peak,
            expected=plan.expected,
            pace=0.0 if (rate := _middle(folder, "generated_per_second")) else _middle(folder) / (1 - plan.counts.padding),
            generated=rate,
            vllm=VLLM in items,
            parameters=plan.parameters,
            dtype=spec["model"]["dtype"],
            packed=bool(spec["training"]["packing"]),
        )
    except (RecordError, OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None


def _middle(folder: RunFolder, name: str = "tokens_per_second") -> float:
    """A rate in the middle of a run, its beginning left out; 0 if too few steps were logged."""
    lines = [line for line in folder.read_metrics() if line.get(name)]
    steady = lines[max(1, round(WARM_UP * len(lines))) :]
    return float(median(line[name] for line in steady)) if len(steady) >= 3 else 0.0
