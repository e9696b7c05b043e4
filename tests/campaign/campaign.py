"""One fault after another, by a seed: `python -m tests.campaign --seconds 600 --seed 1 [--run FOLDER]`."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from studio.app import runs, upkeep
from studio.core.errors import StudioError
from studio.runs import folder as folders
from studio.runs import status
from studio.runs.folder import RunFolder
from studio.runs.recorder import Recorder
from studio.spec import parse
from tests.campaign import faults, views

SPEC = parse({"name": "bot", "data": {"train": "/missing.csv"}})
SKIPPED = (".safetensors", ".pt", ".npy", ".npz", ".bin")
"""Endings of files that no view reads."""


@dataclass
class Result:
    """What was tried, and what did not hold."""

    tried: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)


def ended_run(home: Path) -> RunFolder:
    """A run that ended, as its recorder writes it."""
    folder = folders.create(SPEC, home)
    work(folder)
    return folder


def work(folder: RunFolder) -> None:
    """All that a run's process writes, from its first to its last word."""
    recorder = Recorder(folder)
    with recorder.stage("training"):
        for step in range(3):
            recorder.metrics(step, loss=2.5)
    recorder.end("done")


def damage_one(home: Path, run: RunFolder | None, chance: random.Random, result: Result) -> None:
    """Damage one file of one of two runs: every view goes on, the other run is untouched, repair and deletion work."""
    healthy = ended_run(home)
    if run is None:
        hurt = ended_run(home)
    else:
        hurt = RunFolder(home / "runs" / run.id)
        shutil.copytree(run.path, hurt.path, ignore=shutil.ignore_patterns("*.safetensors", "optimizer.pt"))
    files = sorted(item for item in hurt.path.rglob("*") if item.is_file() and not item.name.endswith(SKIPPED))
    file, kind = chance.choice(files), chance.choice(sorted(faults.DAMAGES))
    file.write_bytes(faults.DAMAGES[kind](file.read_bytes(), chance))
    where = f"{file.relative_to(hurt.path)}: {kind}"
    result.tried[f"damaged file: {kind}"] += 1
    result.failed += [f"{where}: {problem}" for problem in views.failures(home, hurt.id)]
    listed = {row.id: row.summary() for row in runs.list_runs(home)}
    if healthy.id not in listed or listed[healthy.id].state != "done" or listed[healthy.id].error:
        result.failed.append(f"{where}: the healthy run is not as it was")
    try:
        upkeep.repair(home)
        if left := upkeep.damages(home):
            result.failed.append(f"{where}: damaged after the repair: {left[0].what}")
        for item in runs.list_runs(home):
            runs.delete(item)
    except Exception as error:
        result.failed.append(f"{where}: repair and delete: {type(error).__name__}: {error}")


def fail_each_write(home: Path, fault: str, result: Result, most: int = 1000) -> None:
    """Let the first write of a run fail, then the second, until none is left: each time the home can be used afterwards."""
    for number in range(1, most):
        root = home / str(number)
        with faults.failing_write(number, fault) as names:
            try:
                ended_run(root)
            except (OSError, StudioError):
                pass
            except Exception as error:
                result.failed.append(f"write {number} ({names[-1]}), {fault}: {type(error).__name__}: {error}")
        if len(names) < number:
            return
        where = f"write {number} ({names[number - 1]}), {fault}"
        result.tried[f"failed write: {fault}"] += 1
        found = runs.list_runs(root)
        for item in found:
            result.failed += [f"{where}: {problem}" for problem in views.failures(root, item.id)]
            said = status.read(item.folder).error
            if said and not said.hint:
                result.failed.append(f"{where}: an error without a hint: {said.message}")
        try:
            folder = found[0].folder if found else folders.create(SPEC, root)
            work(folder)
            if status.read(folder).state != "done":
                result.failed.append(f"{where}: the run cannot be done afterwards")
        except Exception as error:
            result.failed.append(f"{where}: cannot go on afterwards: {type(error).__name__}: {error}")


def run(seconds: float, seed: int, reference: RunFolder | None = None, most: int = 1_000_000) -> Result:
    """Faults until the time is over, the same ones for the same seed."""
    result, until = Result(), time.monotonic() + seconds
    for number in range(most):
        if time.monotonic() > until:
            break
        chance = random.Random(f"{seed} {number}")
        with tempfile.TemporaryDirectory(prefix="studio-campaign-") as folder:
            if number % 40 == 0:
                fail_each_write(Path(folder), sorted(faults.WRITE_FAULTS)[number // 40 % len(faults.WRITE_FAULTS)], result)
            else:
                damage_one(Path(folder), reference if number % 2 else None, chance, result)
    return result
