"""Use cases that need torch or read unchecked files, done by the studio's own command in a process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from studio.app.preview_records import PreviewRecord
from studio.data.report import DataReport
from studio.processes.command import run_json
from studio.runs.plan import PlanRecord
from studio.spec import RunSpec, dump_asked


@contextmanager
def spec_file(spec: RunSpec) -> Generator[str]:
    """A spec as a file for the time of a command."""
    with tempfile.TemporaryDirectory(prefix="studio-spec-") as folder:
        file = Path(folder) / "spec.yaml"
        file.write_text(dump_asked(spec), encoding="utf-8")
        yield str(file)


def plan(spec: RunSpec, home: Path, gpu: str = "") -> PlanRecord:
    """The plan of a spec; one that does not fit too. Raises StudioError."""
    with spec_file(spec) as file:
        answer = run_json(["plan", file, *(["--gpu", gpu] if gpu else [])], home, good=(0, 3))
    return PlanRecord.from_json(answer, where="studio plan")


def inspect(spec: RunSpec, home: Path) -> DataReport:
    """The report on a spec's data; also when the data is not usable. Raises StudioError."""
    with spec_file(spec) as file:
        answer = run_json(["data", "inspect", "--spec", file], home, good=(0, 2))
    return DataReport.from_json(answer, where="studio data inspect")


def prune(run: str, layers: int, home: Path) -> str:
    """Leave layers out of a run's model, and start the run that heals it: its id. Raises StudioError."""
    return str(run_json(["prune", run, "--layers", str(layers), "--no-wait"], home)["run"])


def merge(names: list[str], method: str, home: Path) -> str:
    """Merge the adapters of runs, and start the run of the result: its id. Raises StudioError."""
    return str(run_json(["adapters", "merge", *names, "--method", method, "--no-wait"], home)["run"])


def preview(spec: RunSpec, home: Path, rows: int = 3) -> list[PreviewRecord]:
    """The token stream of the first rows of a spec's data. Raises StudioError."""
    with spec_file(spec) as file:
        found = run_json(["data", "preview", spec.data.files[0], "--spec", file, "--rows", str(rows)], home)
    return [PreviewRecord.from_json(item) for item in found]
