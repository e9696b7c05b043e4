"""Use cases of exporting from a face that must not wait: begin, follow, sizes before, manifests after.

An export is the studio's own command in a process of its own, with its output in `<run>/exports/.work/<target>.json`; it
goes on when its page or the web server ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.app.child import error_of
from studio.app.runs import Run
from studio.core.errors import JobError, StudioError
from studio.core.files import read_json, write_json
from studio.runs.status import Process


@dataclass(frozen=True)
class Work:
    """An export that was begun from a page. state: running, done or failed."""

    target: str
    state: str
    begun: float
    error: StudioError | None = None


def label(target: dict[str, Any]) -> str:
    """A target in a word: `merged`, `gguf-q8_0`."""
    return "-".join(str(target[name]) for name in ("kind", "quant", "onto") if target.get(name))


def begin(run: Run, target: dict[str, Any], home: Path) -> Work:
    """Begin to make and verify an export; returns at once. Raises JobError if the run has no adapter or it is being made."""
    if not (run.folder.adapter / "adapter_config.json").exists():
        raise JobError(f"this run has no adapter; it is {run.status.state}", hint="Choose a run that is done.", where=run.id)
    if run.status.active:
        raise JobError("this run is still being worked on", hint="Wait until it has ended.", where=run.id)
    name = label(target)
    if any(item.target == name and item.state == "running" for item in works(run)):
        raise JobError("this export is being made already", hint="Wait for it.", where=name)
    folder = _folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    extra = [word for key in ("quant", "onto") if target.get(key) for word in (f"--{key}", str(target[key]))]
    command = [sys.executable, "-m", "studio", "export", str(run.folder.path), "--to", target["kind"], *extra, "--json"]
    with open(folder / f"{name}.out", "wb") as out, open(folder / f"{name}.err", "wb") as err:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
            env={**os.environ, "STUDIO_HOME": str(home)},
        )  # fmt: skip
    process = Process.of(child.pid)
    write_json(folder / f"{name}.json", {"target": name, "begun": time.time(), "pid": process.pid, "born": process.born})
    return _work(folder / f"{name}.json")


def works(run: Run) -> list[Work]:
    """The exports that were begun from a page, newest first."""
    found = [_work(file) for file in _folder(run).glob("*.json")]
    return sorted(found, key=lambda item: item.begun, reverse=True)


def sizes(run: Run) -> dict[str, int]:
    """About how many bytes each export takes: `gguf-q8_0` -> bytes. Empty where the model's size is not known."""
    from studio.models import loading
    from studio.models.shape import shape
    from studio.planner.disk import GGUF_BITS

    try:
        every = shape(loading.find(run.spec.model, planning=True).config).parameters
    except StudioError:
        return {}
    weights = run.folder.adapter / "adapter_model.safetensors"
    adapter = {"adapter": weights.stat().st_size} if weights.exists() else {}
    return {**adapter, "merged": 2 * every, **{f"gguf-{name}": round(every * bits / 8) for name, bits in GGUF_BITS.items()}}


def _folder(run: Run) -> Path:
    return run.folder.exports / ".work"


def _work(file: Path) -> Work:
    kept = read_json(file)
    if _alive(kept):
        return Work(kept["target"], "running", kept["begun"])
    out, err = file.with_suffix(".out"), file.with_suffix(".err")
    try:
        json.loads(out.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = err.read_text(encoding="utf-8", errors="replace") if err.exists() else ""
        return Work(kept["target"], "failed", kept["begun"], error_of(told, 1, "export"))
    return Work(kept["target"], "done", kept["begun"])


def _alive(kept: dict[str, Any]) -> bool:
    process = Process(kept["pid"], kept["born"])
    if not process.alive():
        return False
    try:
        os.waitpid(kept["pid"], os.WNOHANG)  # a child of this very server leaves a zombie until it is asked
    except ChildProcessError:
        return True
    return process.alive()
