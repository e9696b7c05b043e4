"""Every write of a whole run fails once with each fault, from `studio train` to its exports, in whichever process makes it.

Afterwards the home can be looked at, the run goes on or says in a sentence why not, and at its end it is, bit for bit, what it
would have been. `writes.c` is what makes a write fail: below Python, so that sqlite, torch and safetensors go by it as well.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path

from studio.app import exports, runs
from studio.core.files import write_json
from studio.processes import locks
from tests.campaign import views
from tests.campaign.forked import Forked
from tests.campaign.matrix import alone
from tests.campaign.whole_run import WholeRun

FAULTS = ("full disk", "input/output error", "torn write", "kill")
"""In the order of `writes.c`. A torn write: half of the data goes out, then the process is killed."""
STATE = struct.Struct("<iiii192s192s")
COMPILER = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
NO_COMPILER = "not tried: there is no C compiler (cc, gcc or clang) to build writes.c with"


class EachWrite(WholeRun):
    """The run below `root` whose writes fail; what was tried is kept there, for the next call to go on."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._state, self._tried = root / "state", root / "tried.json"
        library = root / "writes.so"
        source = Path(__file__).with_name("writes.c")
        assert COMPILER, NO_COMPILER
        subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
        self._state.write_bytes(bytes(STATE.size))
        more = {"WRITES": str(self._state), "LD_PRELOAD": str(library), "STUDIO_LOCKS": str(root / "locks")}
        self._forked = Forked(more, root / "forked.log")
        super().__init__(root)
        kept = json.loads(self._tried.read_text()) if self._tried.exists() else {}
        self.tried: dict[str, list[int]] = kept.get("tried", {fault: [] for fault in FAULTS})
        self.last: dict[str, int] = kept.get("last", {})
        """The number of writes, by fault, once they were counted: it grows while the last one is still there to fail."""

    def close(self) -> None:
        """End the process that forks."""
        self._forked.close()

    def left(self, seed: int) -> list[tuple[str, int]]:
        """The faults and writes that were not tried yet, in an order by the seed: each write with one fault first."""
        if not self.last:
            self.last = dict.fromkeys(FAULTS, self._count(FAULTS[0])) | {"torn write": self._count("torn write")}
        numbers = list(range(1, max(self.last.values()) + 1))
        random.Random(seed).shuffle(numbers)
        every = [(FAULTS[(number + turn) % len(FAULTS)], number) for turn in range(len(FAULTS)) for number in numbers]
        return [(fault, number) for fault, number in every if number <= self.last[fault] and number not in self.tried[fault]]

    def said(self) -> dict[str, str]:
        """How many of the writes failed so far, by fault."""
        return {fault: f"{len(self.tried[fault])} of {self.last[fault]}" for fault in FAULTS}

    def fail(self, name: str, fault: str, number: int) -> tuple[str, str, list[str]]:
        """Let one write fail: the fault, what was written, and what did not hold."""
        home = self.root / name
        self._prepare(home)
        self._arm(home, fault, number)
        code, said = self._work(home)
        failed = [] if code <= 0 or "→" in said else [f"no hint: {said[-300:]}"]
        if "internal error" in said or "Traceback" in said:
            failed.append(said[-300:])
        _wait_for_processes(home)
        _, hit, what = self._now()
        self._arm(home, fault, 0)
        with alone(home):
            failed += views.failures(home, (), views.of_runs(home))
        failed += self._afterwards(home)
        if hit and number == self.last.get(fault):
            self.last[fault] += 1
        self.tried[fault].append(number)
        write_json(self._tried, {"last": self.last, "tried": self.tried})
        what = what or "none: there are fewer writes"
        return f"failed write: {fault}", what, [f"write {number} ({what}), {fault}: {problem}" for problem in failed]

    def _count(self, fault: str) -> int:
        """How many writes the work has if none fails."""
        home = self.root / "counted"
        shutil.rmtree(home, ignore_errors=True)
        self._prepare(home)
        self._arm(home, fault, 0)
        code, said = self._work(home)
        assert code == 0, said
        _wait_for_processes(home)
        return self._now()[0]

    def _prepare(self, home: Path) -> None:
        """What lies in the home before the work begins: nothing."""

    def _work(self, home: Path) -> tuple[int, str]:
        """The work whose writes fail: its exit code, and what it said."""
        return self._studio(home, "train", str(self.root / "spec.yaml"))

    def _afterwards(self, home: Path) -> list[str]:
        """What is not as it would have been, once the work was done again or went on."""
        return self._resumed(home)

    def _arm(self, home: Path, fault: str, number: int) -> None:
        with self._state.open("r+b") as state:
            state.write(STATE.pack(number, FAULTS.index(fault) + 1, 0, 0, b"", bytes(home)))

    def _now(self) -> tuple[int, bool, str]:
        """The writes so far, whether one failed, and which: its call and its file, without what is made up for each name."""
        _, _, count, hit, what, _ = STATE.unpack(self._state.read_bytes())
        call, _, file = what.rstrip(b"\0").decode("utf-8", "replace").partition(" ")
        file = re.sub(r"^\.?(tmp\w+|bot-\w{6})$", "…", re.sub(r"[.-][0-9a-f]{6,}\b|^\.", "", file))
        return count, bool(hit), f"{call} {file}".strip()

    def _studio(self, home: Path, *words: str) -> tuple[int, str]:
        return self._forked.studio(*words, "--home", str(home))


class EachExportWrite(EachWrite):
    """The writes of one export of a run that is done, and nothing else: so few that every one of them can fail in each way."""

    KIND = "merged"
    KEPT = (KIND, ".reference")
    """What lies beside an export afterwards: the answers of the adapter, for the next export."""

    def _prepare(self, home: Path) -> None:
        shutil.copytree(self.root / "whole", home, symlinks=True)
        shutil.rmtree(self._run(home) / "exports")

    def _work(self, home: Path) -> tuple[int, str]:
        return self._studio(home, "export", self._run(home).name, "--to", self.KIND)

    def _afterwards(self, home: Path) -> list[str]:
        made = [item.artifact for item in exports.list_exports(runs.list_runs(home)[0])]
        left = [str(item.folder) for item in made if not item.verification.passed]
        code, said = self._work(home)
        if code:
            return [*left, f"not exported afterwards: {said[-300:]}"]
        files = [
            (folder / "exports" / self.KIND / "model.safetensors").read_bytes()
            for folder in (self._run(home), self.reference.path)
        ]
        made = [item.artifact for item in exports.list_exports(runs.list_runs(home)[0])]
        if len(made) != 1 or not made[0].verification.passed:
            left.append(f"{len(made)} exports, and one that is verified is wanted")
        left += [f"left behind: {file.name}" for file in (self._run(home) / "exports").iterdir() if file.name not in self.KEPT]
        return left if files[0] == files[1] else [*left, "another result: model.safetensors"]

    def _run(self, home: Path) -> Path:
        return next((home / "runs").iterdir())


def _wait_for_processes(home: Path, seconds: float = 120.0) -> None:
    """Wait until no process works on a run of the home any more: where the command was killed, they go on."""
    until = time.monotonic() + seconds
    for file in (home / "runs").glob("*/launch.json"):
        while locks.is_held(file) and time.monotonic() < until:
            time.sleep(0.02)
