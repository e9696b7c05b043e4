"""One fault after another, by a seed: `python -m tests.campaign --seconds 600 --seed 1 [--run FOLDER]`."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from studio.app import runs
from studio.core.errors import StudioError
from studio.runs import folder as folders
from studio.runs import status
from studio.runs.folder import RunFolder
from studio.runs.recorder import Recorder
from studio.spec import parse
from tests.campaign import clocks, faults, views, whole_home
from tests.campaign.corpus import Corpus
from tests.campaign.each_write import COMPILER, NO_COMPILER, EachExportWrite, EachWrite
from tests.campaign.matrix import Matrix, alone
from tests.campaign.whole_jobs import WholeJobs
from tests.campaign.whole_run import WholeRun

SPEC = parse({"name": "bot", "data": {"train": "/missing.csv"}})


@dataclass
class Result:
    """What was tried, by fault and by moment (what was damaged, written or under way), and what did not hold."""

    tried: Counter[str] = field(default_factory=Counter)
    moments: Counter[str] = field(default_factory=Counter)
    writes: dict[str, str] = field(default_factory=dict)
    """How many of a whole run's writes failed so far, by fault, in all calls with the same folder."""
    export_writes: dict[str, str] = field(default_factory=dict)
    """The same of one export."""
    failed: list[str] = field(default_factory=list)

    def count(self, fault: str, moment: str, failed: list[str]) -> None:
        """One more fault, and what did not hold of it."""
        self.tried[fault] += 1
        self.moments[moment] += 1
        self.failed += failed


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


def damage_one(matrix: Matrix, chance: random.Random, result: Result) -> None:
    """Damage one file of a home in one way."""
    file, kind = chance.choice(matrix.files()), chance.choice(sorted(faults.DAMAGES))
    result.count(f"damaged file: {kind}", f"{file.parts[0]}: {file.name}", matrix.damaged({file: kind}, chance))


def damage_two(matrix: Matrix, chance: random.Random, result: Result) -> None:
    """Damage two files of a home at once, half the time two of the same thing: what mends one must not need the other."""
    files = matrix.files()
    first = chance.choice(files)
    same = [file for file in files if file != first and whole_home.item_of(file) == whole_home.item_of(first)]
    second = chance.choice(same if same and chance.random() < 0.5 else [file for file in files if file != first])
    damages = {file: chance.choice(sorted(faults.DAMAGES)) for file in (first, second)}
    moment = " and ".join(sorted(f"{file.parts[0]}: {file.name}" for file in damages))
    result.count("two damaged files", moment, matrix.damaged(damages, chance))


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
        failed = [f"{where}: {problem}" for problem in _unusable(root)]
        result.count(f"failed write: {fault}", f"record: {names[number - 1]}", failed)


def _unusable(root: Path) -> list[str]:
    """What cannot be used of a home in which a write failed."""
    with alone(root):
        listed = runs.list_runs(root)
        failed = views.failures(root, (), views.of_runs(root))
        for item in listed:
            said = status.read(item.folder).error
            if said and not said.hint:
                failed.append(f"an error without a hint: {said.message}")
        try:
            folder = listed[0].folder if listed else folders.create(SPEC, root)
            work(folder)
            if status.read(folder).state != "done":
                failed.append("the run cannot be done afterwards")
        except Exception as error:
            failed.append(f"cannot go on afterwards: {type(error).__name__}: {error}")
    return failed


def run(
    seconds: float,
    seed: int,
    reference: RunFolder | None = None,
    most: int = 1_000_000,
    whole_runs: bool = False,
    work: Path | None = None,
    tell: Callable[[Result], object] = lambda result: None,
) -> Result:
    """Faults until the time is over, the same ones for the same seed.

    whole_runs: also train, kill and resume real runs and jobs. work: a folder in which what is damaged is made once, and found
    again by the next call; by default a new one. tell is given what is known after each fault.
    """
    result, until = Result(), time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        root = work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="studio-campaign-")))
        whole = WholeRun(root / "run") if whole_runs else None
        writes = stack.enter_context(contextlib.closing(EachWrite(root / "writes"))) if whole_runs and COMPILER else None
        if whole_runs and not COMPILER:
            result.writes = {"every fault": NO_COMPILER}
        jobs = stack.enter_context(contextlib.closing(WholeJobs(root / "jobs"))) if whole_runs else None
        matrix = Matrix(root / "matrix", reference=reference)
        corpus = Corpus(root / "corpus")
        result.failed += [f"before any fault: {problem}" for problem in matrix.whole()]
        trials = {10: whole and whole.kill, 20: jobs and jobs.kill, 30: jobs and jobs.kill}
        left = iter(writes.left(seed) if writes else ())
        for number in range(most):
            if time.monotonic() > until:
                break
            chance, name = random.Random(f"{seed} {number}"), f"{seed}-{number}"
            trial = trials.get(number % 40)
            if trial:
                fault, moment, failed = trial(name, chance)
                result.count(fault, moment, [f"{fault}, {moment}: {problem}" for problem in failed])
                for part in ("run", "jobs"):
                    shutil.rmtree(root / part / name, ignore_errors=True)
            elif writes and number % 4 == 3 and number % 40 not in (19, 39) and (write := next(left, None)):
                result.count(*writes.fail(name, *write))
                result.writes = writes.said()
                shutil.rmtree(root / "writes" / name, ignore_errors=True)
            elif number % 40 == 39:
                fault = sorted(faults.WRITE_FAULTS)[number // 40 % len(faults.WRITE_FAULTS)]
                fail_each_write(root / name, fault, result)
                shutil.rmtree(root / name, ignore_errors=True)
            elif number % 40 == 19:
                set_clocks(root / name, chance, result)
                shutil.rmtree(root / name, ignore_errors=True)
            elif number % 4 == 1:
                result.count(*corpus.try_one(chance))
            else:
                (damage_two if number % 4 == 2 else damage_one)(matrix, chance, result)
            tell(result)
    return result


def fail_every_write(
    of: str, seconds: float, seed: int, work: Path, tell: Callable[[Result], object] = lambda result: None
) -> Result:
    """Let each write fail once with each fault, until none is left or the time is over; `work` is gone on with.

    of: "run" for a whole run, from `studio train` to its exports; "export" for one export of a run that is done.
    """
    result, until = Result(), time.monotonic() + seconds
    with contextlib.closing({"run": EachWrite, "export": EachExportWrite}[of](work.absolute())) as writes:
        while (left := writes.left(seed)) and time.monotonic() < until:
            fault, number = left[0]
            name = f"{fault.replace('/', ' ')}-{number}"
            result.count(*writes.fail(name, fault, number))
            if of == "run":
                result.writes = writes.said()
            else:
                result.export_writes = writes.said()
            shutil.rmtree(work / name, ignore_errors=True)
            tell(result)
    return result


def set_clocks(root: Path, chance: random.Random, result: Result) -> None:
    """Set the clock, restart the machine or give a process's number to another, once, against all that may be at work."""
    for change, work, failed in clocks.cases(root, [chance.choice(clocks.CHANGES)]):
        result.count(f"clock or process table: {change.name}", f"at work: {work.name}", failed)
