"""A whole run by the real command and its real processes: killed at a seeded moment.

Afterwards the run can be resumed, or says in a sentence why not; and at its end it is, bit for bit, what it would have been.
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
from pathlib import Path
from typing import Any

from studio.app import exports, runs
from studio.app.runs import Run
from studio.core.files import read_json_lines
from studio.processes.identity import ProcessId
from studio.runs import status

MOMENTS = ("preparing", "training", "evaluating", "exporting")
VICTIMS = ("worker", "monitor and worker")
EXACT = ("adapter/adapter_model.safetensors", "exports/merged/model.safetensors")
SPEC = """name: bot
model: {{name: {root}/model}}
data: {{train: {root}/rows.jsonl, holdout: 0.2}}
adapter: {{dropout: 0.1, targets: [q_proj]}}
training: {{max_steps: 4, save_every: 2, eval_every: 2, batch_size: 4}}
evaluation: {{max_new_tokens: 8, general: "off"}}
tracking: {{wandb: "off"}}
export: [{{kind: merged}}, {{kind: gguf, quant: f16}}]
"""


class WholeRun:
    """A tiny model with its rows below `root`, and the run that nothing interrupted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        if not (root / "ready").exists():
            self._make()
            (root / "ready").touch()
        self.reference = runs.list_runs(root / "whole")[0].folder

    def _make(self) -> None:
        """The model, its rows, and the run that nothing interrupts."""
        from tests.tiny import make_model

        root = self.root
        shutil.rmtree(root / "whole", ignore_errors=True)
        make_model(root / "model", tie_word_embeddings=False)
        rows = [{"question": f"what is the price of lamp {number}?", "answer": f"{number} euro."} for number in range(24)]
        (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (root / "spec.yaml").write_text(SPEC.format(root=root))
        code, said = self._studio(root / "whole", "train", str(root / "spec.yaml"))
        assert code == 0, said

    def kill(self, name: str, chance: random.Random) -> tuple[str, str, list[str]]:
        """Kill a run once: the fault, the moment, and what did not hold."""
        home, moment, victim = self.root / name, chance.choice(MOMENTS), chance.choice(VICTIMS)
        child = subprocess.Popen(
            self._command(home, "train", str(self.root / "spec.yaml")), env=self._environment(), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        run = _wait(home, moment)
        time.sleep(chance.random() * (4.0 if moment == "preparing" else 0.8))
        process = status.read(run.folder).process if run else None
        if process is not None and process.alive():
            _kill(process, victim)
        child.wait(300)
        return f"kill: {victim}", moment, self._resumed(home)

    def _resumed(self, home: Path) -> list[str]:
        """Resume the run of a home to its end, and compare it with the one that nothing interrupted."""
        found = runs.list_runs(home)
        if not found:
            code, said = self._studio(home, "train", str(self.root / "spec.yaml"))
            found = runs.list_runs(home)
            if code or not found:
                return [f"not started afterwards: {said[-300:]}"]
        run = found[0]
        until = time.monotonic() + 60
        while run.status.active and time.monotonic() < until:
            time.sleep(0.1)
        now = run.status
        if now.state != "done":
            if now.error is None or not now.error.hint:
                return [f"{now.state} without an error and a hint"]
            code, said = self._studio(home, "runs", "resume", run.id)
            if code or run.status.state != "done":
                return [f"not resumed, {run.status.state}: {said[-300:]}"]
        return self._differences(run)

    def _differences(self, run: Run) -> list[str]:
        whole, found = self.reference.path, run.folder.path
        different = [name for name in EXACT if (whole / name).read_bytes() != (found / name).read_bytes()]
        figures = [_figures(folder) for folder in (whole, found)]
        different += [f"{name}: {figures[1][name]}" for name in figures[0] if figures[0][name] != figures[1][name]]
        made = [listed.artifact for listed in exports.list_exports(run)]
        different += [f"{item.folder}: not verified" for item in made if not item.verification.passed]
        if len(made) != 2:
            different.append(f"{len(made)} exports of 2")
        return [f"another result: {name}" for name in different]

    def _studio(self, home: Path, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            self._command(home, *words), env=self._environment(), capture_output=True, text=True, timeout=1100, check=False
        )
        return done.returncode, done.stderr

    def _command(self, home: Path, *words: str) -> list[str]:
        return [sys.executable, "-m", "studio", *words, "--home", str(home)]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "OMP_NUM_THREADS": "1", "STUDIO_LOCKS": str(self.root / "locks")}


def _wait(home: Path, moment: str) -> Run | None:
    """The run, once it has come to a stage or has ended."""
    until = time.monotonic() + 240
    while time.monotonic() < until:
        found = runs.list_runs(home)
        if found:
            now = found[0].status
            if now.state == moment or not now.active:
                return found[0]
        time.sleep(0.02)
    return None


def _kill(process: ProcessId, victim: str) -> None:
    pids = [process.pid]
    if victim != "worker":
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        pids.insert(0, int(fields[1]))
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _figures(folder: Path) -> dict[str, Any]:
    steps: dict[int, float] = {}
    for values in read_json_lines(folder / "metrics.jsonl"):  # a torn write leaves half a line
        if "loss" in values:
            steps[values["step"]] = values["loss"]
    report = json.loads((folder / "evaluation" / "report.json").read_text())
    return {"losses": steps, "figures": [(part["name"], part["metrics"]) for part in report["sets"]]}
