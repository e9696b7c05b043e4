"""A clock that is set, a machine that restarts, a process whose number another one gets: each against all that may be at work.

Time of day and the kernel's process table are injected: what lives is known without waiting for it. No torch is needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from studio.app import benchmark_results, overview, servers, serving, upkeep
from studio.benchmark.result import Result
from studio.core.errors import JobError
from studio.core.files import make_home, write_text
from studio.making.folder import JobFolder
from studio.making.records import JobStatus
from studio.processes import system, tasks
from studio.processes.identity import ProcessId
from studio.runs import folder as folders
from studio.runs import lifecycle, queue, status
from studio.runs.recorder import Recorder
from studio.runs.status import Status
from studio.spec import parse
from tests.benchmark.records import CONDITIONS, MACHINE
from tests.campaign import views
from tests.campaign.matrix import alone

PID = 4_000_001
"""The process that works; more than Linux gives."""
MAKER = 4_000_002
SPEC = parse({"name": "bot", "data": {"train": "/missing.csv"}})


@dataclass(frozen=True)
class Change:
    """What happens to a machine while something works on it. seconds: by how much its clock is set."""

    name: str
    seconds: float = 0.0
    boot: str = "first"
    ticks: int = 500
    state: str = "S"
    """The kernel's state of the process; empty where no process has its number."""

    @property
    def lives(self) -> bool:
        """Whether the process that worked works on."""
        return self.boot == "first" and self.ticks == 500 and self.state not in ("", "Z", "X")


HOUR, YEARS = 3600.0, 10 * 365 * 86400.0
CLOCKS = [Change(f"clock {text}", seconds=by) for text, by in (
    ("unchanged", 0), ("one second back", -1), ("one second forth", 1), ("an hour back", -HOUR), ("an hour forth", HOUR),
    ("ten years back", -YEARS), ("ten years forth", YEARS),
)]  # fmt: skip
PROCESSES = [
    Change("process ended", state=""),
    Change("process killed, not yet waited for", state="Z"),
    Change("process stopped by a signal", state="T"),
    Change("process number given to another", ticks=900),
    Change("restart of the machine", boot="second", state=""),
    Change("restart, and the same number and ticks by chance", boot="second"),
]
CHANGES = [
    *CLOCKS,
    *PROCESSES,
    *(
        replace(item, name=f"{item.name}, and the clock set {by:+.0f} s", seconds=by)
        for item in PROCESSES
        for by in (-HOUR, HOUR)
    ),
]


class Machine:
    """A process table and a clock below `root`, as the kernel would show them."""

    def __init__(self, root: Path) -> None:
        self.proc = root / "proc"
        self._seconds = 0.0
        self.become(Change("start"))

    def become(self, change: Change) -> None:
        """Change the table and the clock."""
        self._seconds = change.seconds
        write_text(self.proc / "sys/kernel/random/boot_id", f"{change.boot}\n")
        for pid in (PID, MAKER):
            file = self.proc / str(pid) / "stat"
            file.unlink(missing_ok=True)
            if change.state:
                write_text(file, f"{pid} (python -m studio) {change.state} {'0 ' * 18}{change.ticks} 0 0\n")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Everything asks this machine for its processes and the time."""
        real = time.time
        with patch.object(system, "PROC", self.proc), patch.object(time, "time", lambda: real() + self._seconds):
            yield


@dataclass(frozen=True)
class Work:
    """Something that may be at work. look: what it is said to be now; expected: what is true after a change."""

    name: str
    look: Callable[[], str]
    expected: Callable[[Change], str]


def works(home: Path, with_views: bool = True) -> list[Work]:
    """One of everything that a process works on, each written by what writes it; and what lists and commands say of it all."""
    worker = ProcessId.of(PID)
    run = _run(home, "training", process=worker, total=100.0, done=5.0, what="step")
    Recorder(run).metrics(1, loss=2.0)
    Status(state="training", process=worker, started=time.time(), process_started=time.time(), total=100).write(run.status)
    ended = folders.create(SPEC, home)
    Recorder(ended).end("done")
    waiting = folders.create(SPEC, home)
    queue.add(home, waiting.id)
    note = tasks.TaskNote(kind="export", name="gguf", begun=time.time(), process=worker)
    note.write(home / "work" / "export-gguf.json")
    job = JobFolder(home / "making" / "faq-0001")
    job.path.mkdir(parents=True)
    write_text(job.path / "recipe.yaml", "name: faq\n")
    now = time.time()
    job.set_status(JobStatus(state="running", process=worker, done=2, total=8, started=now, process_started=now))
    listening = serving.ServerNote(
        url="http://127.0.0.1:1/v1", models=("a",), since=time.time(), pid=PID, process=worker
    )  # fmt: skip
    result = Result(
        id="20260101-000001", begun=time.time(), state="running", settings=CONDITIONS, machine=MACHINE, process=worker
    )
    result.write(home / "bench" / f"{result.id}.json")

    def server() -> str:
        listening.write(home / "serving" / f"{PID}.json")  # one that is gone is tidied away
        return "alive" if serving.running(home) else "gone"

    def alive(change: Change) -> str:
        return "alive" if change.lives else "gone"

    def lively(active: str, gone: str) -> Callable[[Change], str]:
        return lambda change: active if change.lives else gone

    seen = [Work("every list and command", lambda: _views(home), lambda change: "")] if with_views else []
    return [
        *seen,
        Work("a run at work", lambda: status.read(run).state, lively("training", "interrupted")),
        Work("its deletion", lambda: _refused(run), lively("refused", "possible")),
        Work("its start again", lambda: _startable(run), lively("refused", "possible")),
        Work("a run that is done", lambda: status.read(ended).state, lambda change: "done"),
        Work("a run in the queue", lambda: status.read(waiting).state, lambda change: "queued"),
        Work("an export begun from a page", lambda: tasks.tasks(home / "work")[0].state, lively("running", "failed")),
        Work("a job that makes rows", lambda: job.status.state, lively("running", "interrupted")),
        Work("a measurement", lambda: benchmark_results.results(home)[0].state, lively("running", "interrupted")),
        Work("a server", server, alive),
        Work("times that are shown", lambda: _times(home, job), lambda change: "none below zero"),
    ]


def _run(home: Path, state: Any, **values: Any) -> folders.RunFolder:
    run = folders.create(SPEC, home)
    Status(state=state, started=time.time(), process_started=time.time(), **values).write(run.status)
    return run


def _refused(run: folders.RunFolder) -> str:
    """Whether a run can be deleted; it never is."""
    with (
        patch.object(lifecycle.os, "replace", lambda *given: None),
        patch.object(lifecycle.shutil, "rmtree", lambda *a, **m: None),
    ):
        return _possible(lambda: lifecycle.delete(run))


def _startable(run: folders.RunFolder) -> str:
    """Whether a run can be started; what that writes is taken back."""
    before = run.status.read_bytes()
    with patch.object(lifecycle.spawn, "detached", lambda *given, **more: ProcessId(1, -1, "none")):
        said = _possible(lambda: lifecycle.launch(run))
    run.status.write_bytes(before)
    return said


def _possible(act: Callable[[], None]) -> str:
    try:
        act()
    except JobError:
        return "refused"
    return "possible"


def _times(home: Path, job: JobFolder) -> str:
    from studio.app import making

    shown = [row.seconds for row in overview.rows(home)] + [making.seconds_left(job.status, time.time())]
    shown += [value for run in overview.runs.list_runs(home) for value in run.seconds_left or ()]
    below = [value for value in shown if value is not None and value < 0]
    return f"{below} below zero" if below else "none below zero"


def _views(home: Path) -> str:
    with alone(home):
        return "; ".join(views.failures(home, (), [*views.of_runs(home), *_lists(home)]))


def _lists(home: Path) -> list[views.View]:
    return [
        views.View("servers", "", views.quietly(lambda: servers.servers(home))),
        views.View("what is not needed", "", views.quietly(lambda: upkeep.find_unneeded(home, ()))),
    ]


def cases(root: Path, changes: list[Change] = CHANGES, with_views: bool = True) -> Iterator[tuple[Change, Work, list[str]]]:
    """Every change against everything that may be at work, and what did not hold."""
    machine = Machine(root)
    with machine.running():
        home = make_home(root / "home")
        there = works(home, with_views)
        for change in changes:
            machine.become(change)
            for work in there:
                try:
                    found = work.look()
                except Exception as error:
                    found = f"{type(error).__name__}: {error}"
                wanted = work.expected(change)
                failed = [] if found == wanted else [f"{change.name}: {work.name} is {found!r}, and {wanted!r} is true"]
                yield change, work, failed
                machine.become(change)
