"""Jobs that are no runs, by the real command (documents, an index, rows, a cascade's test), killed at a seeded moment.

Afterwards every list of the home comes, nothing of the job lives on, and begun again it ends as if nothing had happened: the
same passages, findings, rows and figures, and no answer paid twice but those that were under way.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from studio.making import folder as making
from tests.campaign import views
from tests.campaign.matrix import alone
from tests.making import kit
from tests.remote.loopback import Faults, Loopback, loopback

AT_ONCE = 2
"""Requests under way at a time: as many may be paid twice by a kill."""
DOCUMENTS = 40
QUESTIONS = 30


@dataclass(frozen=True)
class Job:
    """A command that is killed. again: how it is begun again; result: what is the same in the end, whatever happened."""

    name: str
    words: list[str]
    again: Callable[[Path], list[str]]
    result: Callable[[Path], Any]


class WholeJobs:
    """What the jobs work on, below `root`, and what each comes to when nothing interrupts it."""

    def __init__(self, root: Path) -> None:
        self.root, self._stack = root, ExitStack()
        self._api: Loopback = self._stack.enter_context(loopback(_answer, Faults(seconds=0.03)))
        self._api.served_model = "canned"
        self.jobs = self._jobs()
        self._prepared, self._expected, self._paid = root / "prepared", dict[str, Any](), dict[str, int]()

    def prepare(self) -> None:
        """Make what the jobs work on, anew: it names the API by its port, which is another one each time."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        self._write()
        for home, words in (
            (self._prepared, ["documents", "add", str(self.root / "pages"), "--name", "handbook"]),
            (self._prepared, ["cascade", "calibrate", "starter", "--large", f"{self._api.url}#canned", "--price-in", "1",
                              "--price-out", "1", "--risk", "0.2", "--held-out", str(self.root / "calibrate.jsonl"),
                              "--max-tokens", "8"]),
        ):  # fmt: skip
            code, said = self._studio(home, *words)
            assert code == 0, said

    def close(self) -> None:
        """Stop the API that teacher and large model are asked from."""
        self._stack.close()

    def kill(self, name: str, chance: random.Random) -> tuple[str, str, list[str]]:
        """Kill a job once or twice: the fault, the moment, and what did not hold."""
        if not self._prepared.exists() or not self._expected:
            self.prepare()
        job, home, failed = chance.choice(self.jobs), self.root / name, list[str]()
        seconds, expected = self._uninterrupted(job)
        shutil.copytree(self._prepared, home, symlinks=True)
        begun = len(self._api.bills)
        words = job.words
        for _ in range(chance.randint(1, 2)):
            child = self._begin(home, words)
            with_children = chance.random() < 0.5
            time.sleep(chance.random() * seconds)
            os.killpg(child.pid, signal.SIGKILL) if with_children else child.kill()
            child.wait()
            failed += _left(home)
            with alone(home):
                failed += views.failures(home, (), [*views.read(home), *views.lists(home)])
            words = job.again(home)
        code, said = self._studio(home, *words)
        if code:
            return "kill: job", job.name, [*failed, f"not done again: {said[-300:]}"]
        if (found := job.result(home)) != expected:
            failed.append(f"another result: {str(found)[:200]} instead of {str(expected)[:200]}")
        paid = len(self._api.bills) - begun
        if paid > self._paid[job.name] + 2 * AT_ONCE:
            failed.append(f"{paid} answers were paid, {self._paid[job.name]} were needed")
        return "kill: job", job.name, failed

    def _uninterrupted(self, job: Job) -> tuple[float, Any]:
        """How long the job takes and what it comes to, from the first time it is asked."""
        if job.name not in self._expected:
            home = self.root / f"whole-{job.name.replace(' ', '-')}"
            shutil.copytree(self._prepared, home, symlinks=True)
            bills, begun = len(self._api.bills), time.monotonic()
            code, said = self._studio(home, *job.words)
            assert code == 0, said
            self._expected[job.name] = (time.monotonic() - begun, job.result(home))
            self._paid[job.name] = len(self._api.bills) - bills
        return self._expected[job.name]

    def _write(self) -> None:
        pages = self.root / "pages"
        pages.mkdir(exist_ok=True)
        for number in range(DOCUMENTS):
            found = kit.passage(number)
            text = f"# {found.heading_path[0]} {number}\n\n{found.text}\n\n## Care\n\nWipe part {number} with a dry cloth.\n"
            (pages / f"page-{number:02}.md").write_text(text)
        for name in ("calibrate", "test"):
            rows = [{"question": f"What does the {name} lamp {n} cost?", "answer": f"{n} euro."} for n in range(QUESTIONS)]
            (self.root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        teacher = {"url": self._api.url, "model": "canned", "price": {"input": 1, "output": 1}}
        recipes = [{"kind": "questions", "per_passage": 2}]
        recipe = {"name": "faq", "documents": ["handbook"], "teacher": teacher, "recipes": recipes, "concurrency": AT_ONCE}
        (self.root / "recipe.yaml").write_text(yaml.safe_dump(recipe))

    def _jobs(self) -> list[Job]:
        add = ["documents", "add", str(self.root / "pages"), "--name", "guide"]
        build = ["index", "build", "guide", "handbook"]
        make = ["make", "run", str(self.root / "recipe.yaml"), "--ceiling", "1"]
        test = ["cascade", "report", "last", "--held-out", str(self.root / "test.jsonl"), "--ceiling", "1", "--yes"]
        return [
            Job("reading documents", add, lambda home: add, self._passages),
            Job("building an index", build, lambda home: build, self._found),
            Job("making rows", make, lambda home: ["make", "resume", "last"] if _has_job(home) else make, _rows),
            Job("testing a cascade", test, lambda home: test, _figures),
        ]

    def _passages(self, home: Path) -> Any:
        out = home.with_name(f"{home.name}.passages")
        code, said = self._studio(home, "documents", "export", "guide", "--out", str(out))
        return sorted(item.read_text() for item in _files(out)) if code == 0 else said

    def _found(self, home: Path) -> Any:
        code, said, found = self._ask(home, "index", "search", "guide", "What does the Pippin kettle cost?", "--json")
        return json.loads(found) if code == 0 else said

    def _begin(self, home: Path, words: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            _command(home, *words), env=_environment(self.root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def _studio(self, home: Path, *words: str) -> tuple[int, str]:
        code, said, _ = self._ask(home, *words)
        return code, said

    def _ask(self, home: Path, *words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            _command(home, *words), env=_environment(self.root), capture_output=True, text=True, timeout=600, check=False
        )
        return done.returncode, done.stderr, done.stdout


def _answer(body: dict[str, Any]) -> str:
    """A teacher's rows, or the large model's answer to a question of the cascade."""
    asked = str(body["messages"][-1]["content"])
    return f"{asked.split()[-2]} euro." if asked.startswith("What does the test lamp") else kit.answer(body)


def _command(home: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "studio", *words, "--home", str(home)]


def _environment(root: Path) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "STUDIO_LOCKS": str(root / "locks")}


def _left(home: Path, seconds: float = 30.0) -> list[str]:
    """The processes of this home that live on although what began them was killed; they get so long to notice."""
    until = time.monotonic() + seconds
    while there := list(_processes(home)):
        if time.monotonic() > until:
            return [f"lives on: {' '.join(words)[:200]}" for words in there]
        time.sleep(0.2)
    return []


def _processes(home: Path) -> Iterator[list[str]]:
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if str(home) in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            yield words


def _files(path: Path) -> list[Path]:
    return [item for item in path.rglob("*") if item.is_file()] if path.is_dir() else [path]


def _has_job(home: Path) -> bool:
    return any((home / "making").glob("*/recipe.yaml"))


def _rows(home: Path) -> Any:
    job = making.find(home, "last")
    return job.status.state, sorted((row.question, row.answer, row.held_out) for row in job.rows())


def _figures(home: Path) -> Any:
    """What a report says of the rows; how long answers took is another figure each time."""
    found = json.loads(next((home / "cascades").glob("*/report.json")).read_text())
    points = {name: found[name] for name in ("large", "small", "at_target")}
    return found["rows"], {
        name: {what: value for what, value in point.items() if what not in ("p50", "p95")} for name, point in points.items()
    }
