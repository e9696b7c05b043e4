"""The queue: a thousand jobs by hand, and fifty supervisors killed at random moments.

    python bench/jobs.py [--jobs 1000] [--kills 50] [--runs 60]      # writes bench/results/jobs.json

Seconds are wall-clock, each call by itself; what counts is the longest one. The killed supervisors start real runs that
end quickly, as their data file was taken away; each must begin and end exactly once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from studio.app import overview, queue, runs
from studio.core import events
from studio.processes import locks
from studio.runs import supervisor
from studio.spec import parse

OUT = Path(__file__).parent / "results" / "jobs.json"


class Clock:
    """Seconds of every call, by name."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        """Do the work and note how long it took."""
        begun = time.perf_counter()
        found = work()
        self.taken.setdefault(name, []).append(time.perf_counter() - begun)
        return found

    def figures(self) -> dict[str, dict[str, float]]:
        """Calls, median and longest in milliseconds."""
        return {
            name: {
                "calls": len(values),
                "median_ms": round(1000 * statistics.median(values), 2),
                "longest_ms": round(1000 * max(values), 1),
            }
            for name, values in self.taken.items()
        }


def by_hand(home: Path, jobs: int) -> dict[str, Any]:
    """Queue, list, move and cancel jobs through the studio's use cases. A supervisor's lock is held, so none starts."""
    clock, dice = Clock(), random.Random(1)
    data = _data(home)
    with locks.hold(supervisor._lock(home), locks.within(locks.PROBE)):
        for place in range(jobs):
            spec = parse({"name": f"job {place}", "data": {"train": data}})
            clock("queue", lambda spec=spec: queue.submit(spec, home))
        clock("runs page, first", lambda: overview.rows(home))
        for _ in range(10):
            clock("list", lambda: queue.order(home))
            clock("runs page, again", lambda: overview.rows(home))
            clock("supervisor's look", lambda: supervisor.any_active(home))
        names = [item.run for item in queue.order(home)]
        for _ in range(jobs):
            name, place = dice.choice(names), dice.randint(1, jobs)
            clock("move", lambda name=name, place=place: queue.move(name, place, home))
        assert sorted(item.run for item in queue.order(home)) == sorted(names)
        dice.shuffle(names)
        for name in names:
            clock("cancel", lambda name=name: queue.cancel(name, home))
    assert queue.order(home) == []
    assert {run.status.state for run in runs.list_runs(home)} == {"stopped"}
    return clock.figures()


def killed(home: Path, count: int, kills: int) -> dict[str, Any]:
    """Kill supervisors at random moments while runs wait; what became of the runs."""
    dice, data = random.Random(2), _data(home)
    with locks.hold(supervisor._lock(home), locks.within(locks.PROBE)):
        names = [queue.submit(parse({"name": f"run {place}", "data": {"train": data}}), home).id for place in range(count)]
    Path(data).unlink()
    adopted = 0
    for _ in range(kills):
        child = subprocess.Popen([sys.executable, "-m", "studio.runs.supervisor", str(home)])
        time.sleep(dice.uniform(0.2, 3.0))
        adopted += supervisor.any_active(home)
        child.send_signal(signal.SIGKILL)
        child.wait()
    waiting = len(queue.order(home))
    assert queue.work(home, until_idle=True)
    until = time.monotonic() + 60
    while any(run.status.active for run in runs.list_runs(home)) and time.monotonic() < until:
        time.sleep(0.2)
    began: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    states: Counter[str] = Counter()
    for name in names:
        run = runs.find(name, home)
        kinds = [event.stage if isinstance(event, events.Stage) else event.kind for event in run.events]
        began[name], ended[name] = kinds.count("preparing"), kinds.count("ended")
        states[run.status.state] += 1
    return {
        "runs": count,
        "kills": kills,
        "left_after_the_last_kill": waiting,
        "kills_while_a_run_was_alive": adopted,
        "lost": sum(not began[name] for name in names),
        "doubled": sum(began[name] > 1 or ended[name] > 1 for name in names),
        "states": dict(states),
    }


def _data(home: Path) -> str:
    file = home / "data.jsonl"
    file.write_text('{"question": "a", "answer": "b"}\n' * 20)
    return str(file)


def main() -> None:
    """Measure, print and keep."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--jobs", type=int, default=1000)
    asked.add_argument("--kills", type=int, default=50)
    asked.add_argument("--runs", type=int, default=60)
    options = asked.parse_args()
    from bench.startup import cpu_model

    begun = os.getloadavg()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        result = {
            "bench": "queue",
            "date": time.strftime("%Y-%m-%d"),
            "cpu": cpu_model(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "by_hand": by_hand(Path(one), options.jobs),
            "supervisor_killed": killed(Path(two), options.runs, options.kills),
            "load_before_and_after": [round(begun[0], 1), round(os.getloadavg()[0], 1)],
        }
    OUT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
