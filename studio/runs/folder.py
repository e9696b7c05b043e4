"""The run folder: the truth about a run. Only this file knows the names in it."""

from __future__ import annotations

import functools
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio import spec as specs
from studio.core import events, people
from studio.core.errors import JobError, StudioError
from studio.core.events import Event
from studio.core.files import make_home, read_json, whole_lines, write_text
from studio.core.metrics import MetricsPoint
from studio.core.plain import is_object
from studio.core.records import RecordError
from studio.core.text import nearest, slug
from studio.processes.identity import ProcessId
from studio.runs import environment
from studio.runs.records import Launch
from studio.spec import ResolvedSpec, RunSpec


@dataclass(frozen=True)
class RunFolder:
    """A run's folder and the names in it."""

    path: Path

    @property
    def id(self) -> str:
        """The run's id: its folder's name."""
        return self.path.name

    asked = property(lambda self: self.path / "asked.yaml", doc="The spec as it was given.")
    spec_file = property(lambda self: self.path / "spec.yaml", doc="The spec with every value decided.")
    plan = property(lambda self: self.path / "plan.json", doc="The decisions with their reasons, and the prediction.")
    lock = property(lambda self: self.path / "lock.json", doc="What makes the run repeatable.")
    launch = property(lambda self: self.path / "launch.json", doc="Where and when the run was started.")
    status = property(lambda self: self.path / "status.json", doc="State, stage, progress and process.")
    exit = property(lambda self: self.path / "exit.json", doc="How the last process of the run ended.")
    events = property(lambda self: self.path / "events.jsonl", doc="What happened, in order.")
    log = property(lambda self: self.path / "log.txt", doc="Everything the process printed.")
    metrics = property(lambda self: self.path / "metrics.jsonl", doc="One JSON object per logged step.")
    notes = property(lambda self: self.path / "notes.json", doc="What a person wrote about the run afterwards.")
    reserve = property(lambda self: self.path / ".reserve", doc="Disk space kept for the last word of the run's process.")
    stop = property(lambda self: self.path / "stop", doc="There while the run is asked to stop.")
    data = property(lambda self: self.path / "data", doc="Checked rows, their split, and the data report.")
    findings = property(lambda self: self.path / "data" / "findings.json", doc="What the checks found in the training rows.")
    checkpoints = property(lambda self: self.path / "checkpoints", doc="What an interrupted run goes on from.")
    start = property(lambda self: self.path / "start", doc="The adapter the run began with, where it was not a fresh one.")
    baseline = property(lambda self: self.path / "baseline", doc="The same rows learned without the teacher, to compare with.")
    adapter = property(lambda self: self.path / "adapter", doc="The trained adapter.")
    training = property(lambda self: self.path / "training.json", doc="How training ended.")
    report = property(lambda self: self.path / "evaluation" / "report.json", doc="The evidence.")
    report_page = property(lambda self: self.path / "evaluation" / "report.html", doc="The evidence as a page.")
    samples = property(lambda self: self.path / "evaluation" / "samples.jsonl", doc="Answers while it was trained.")
    folds = property(lambda self: self.path / "evaluation" / "folds", doc="What a cross-validation measured, fold by fold.")
    judge = property(lambda self: self.path / "evaluation" / "judge.json", doc="What a model as judge found.")
    standard = property(lambda self: self.path / "evaluation" / "standard.json", doc="Its standard benchmarks.")
    judge_ledger = property(lambda self: self.path / "evaluation" / "judge-costs.sqlite", doc="What the spec's judge has cost.")
    ratings = property(lambda self: self.path / "evaluation" / "ratings.jsonl", doc="What people found, pair by pair.")
    exports = property(lambda self: self.path / "exports", doc="One folder per export.")

    def asked_spec(self) -> RunSpec:
        """The spec as it was given."""
        return specs.load_recorded(self.asked)

    def spec(self) -> RunSpec:
        """The resolved spec, or the asked one while nothing is decided yet."""
        file = self.spec_file if self.spec_file.exists() else self.asked
        mark = file.stat()
        return _spec(file, (mark.st_ino, mark.st_mtime_ns, mark.st_size))

    def resolved_spec(self) -> ResolvedSpec:
        """The spec with every value decided. Raises JobError for a run that was not planned yet."""
        if not self.spec_file.exists():
            raise JobError("this run was not planned yet", hint="Start it, or look at its log.", where=self.id)
        return specs.load_resolved(self.spec_file)

    def write_spec(self, spec: ResolvedSpec) -> None:
        """Write the resolved spec."""
        write_text(self.spec_file, specs.dump(spec))

    def event(self, event: Event) -> None:
        """Append to the story of the run, with the present time."""
        event.model_copy(update={"time": round(time.time(), 3)}).append(self.events)

    def read_events(self) -> Iterator[Event]:
        """The story so far; a line that cannot be read is an `events.Unreadable`."""
        return map(events.parse_line, whole_lines(self.events))

    def read_metrics(self) -> Iterator[MetricsPoint]:
        """The logged steps so far. After a resume a step may stand twice: the later one counts."""
        latest = {(point.step, "eval_loss" in point): point for point in MetricsPoint.read(self.metrics)}
        return iter(sorted(latest.values(), key=lambda point: point.step))

    def manifests(self) -> list[Path]:
        """The manifest files of what was exported, by folder; what a killed export left aside is none."""
        return sorted(self.exports.glob("[!.]*/artifact.json"))

    def artifacts(self) -> list[dict[str, Any]]:
        """The manifests of what was exported. Raises RecordError for a damaged one."""
        return [read_object(file) for file in self.manifests()]

    def damage(self) -> str:
        """The first of its files that is there and cannot be read, with the reason; empty where all are as they should be."""
        files = (self.launch, self.status, self.plan, self.report, self.notes, *self.manifests())
        for file in files:
            try:
                if file.exists() and not isinstance(read_json(file), dict):
                    return f"{file.relative_to(self.path)}: expected a JSON object"
            except (OSError, ValueError) as problem:
                return f"{file.relative_to(self.path)}: {problem}"
        try:
            self.asked_spec()
            self.spec()
        except StudioError as problem:
            return problem.sentence
        except (OSError, ValueError) as problem:
            return str(problem)
        return ""


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file of a run. Raises RecordError, naming the file, for one that is damaged."""
    try:
        values = read_json(file)
    except ValueError as problem:
        raise _damaged(file, f"not valid JSON ({problem})") from None
    if not is_object(values):
        raise _damaged(file, f"expected a JSON object, got {type(values).__name__}")
    return values


def _damaged(file: Path, what: str) -> RecordError:
    return RecordError(f"{file.name} is damaged: {what}", hint="Set it aside: studio doctor --repair", where=str(file))


@functools.lru_cache(maxsize=2048)
def _spec(file: Path, mark: tuple[int, int, int]) -> RunSpec:
    return specs.load_recorded(file)


def create(spec: RunSpec, root: Path) -> RunFolder:
    """A new folder for a run, never an old one: `<root>/runs/<name>-<id>` with `asked.yaml` and `launch.json`."""
    make_home(root)
    for _ in range(100):
        path = root / "runs" / f"{slug(spec.name)}-{secrets.token_hex(3)}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as problem:
            raise JobError(
                f"no run folder can be made: {problem.strerror}", hint="Choose another folder with --home.", where=str(path)
            ) from None
        folder = RunFolder(path)
        write_text(folder.asked, specs.dump_asked(spec))
        Launch(
            folder=Path.cwd(),
            created=time.time(),
            name=spec.name,
            who=people.who(),
            maker=ProcessId.current(),
            environment=environment.of_asker(),
            secrets=environment.marks(environment.keys_of(spec)),
        ).write(folder.launch)
        folder.event(events.Created(name=spec.name))
        return folder
    raise JobError("no free name for a run folder was found", hint="Try another name.", where=str(root))


def find(name: str | Path, root: Path) -> RunFolder:
    """The run of that id, of that path, or the newest whose id begins so; `last` is the newest. Raises JobError."""
    path = Path(name)
    if (path / "asked.yaml").exists():
        return RunFolder(path.absolute())
    folders = all_runs(root)
    if str(name) == "last" and folders:
        return folders[0]
    matches = [folder for folder in folders if folder.id == str(name)] or [
        folder for folder in folders if str(name) and folder.id.startswith(str(name))
    ]
    if matches:
        return matches[0]
    if (path / "adapter_config.json").exists():
        raise JobError(
            "this is an adapter folder, not a run: it has no settings and no held-out rows",
            hint="studio chat, serve and export take it, and --base FOLDER_OR_HUB_ID where it names another base.",
            where=str(name),
        )
    near = nearest(str(name), [folder.id for folder in folders])
    hint = f"Did you mean {near}?" if near else "studio runs list shows the runs there are."
    raise JobError(f"there is no run `{name}`", hint=hint, where=str(root / "runs"))


def find_export(reference: str, root: Path) -> Path | None:
    """The folder of `RUN:EXPORT`, e.g. `last:gguf-q8_0`; None if `reference` is not written so. Raises JobError."""
    name, colon, export = reference.partition(":")
    if not colon or not name or "/" in export or Path(reference).exists():
        return None
    folder = find(name, root)
    names = [file.parent.name for file in folder.manifests()]
    if export not in names:
        there = ", ".join(names)
        raise JobError(f"this run has no export `{export}`", hint=f"It has {there or 'none'}.", where=folder.id)
    return folder.exports / export


def all_runs(root: Path) -> list[RunFolder]:
    """Every run below `root`, newest first."""
    files = sorted(
        (root / "runs").glob("*/asked.yaml"), key=lambda file: (_created(file.parent), file.parent.name), reverse=True
    )
    return [RunFolder(file.parent) for file in files]


def _created(path: Path) -> float:
    try:
        return float(read_json(path / "launch.json")["created"])
    except (OSError, ValueError, KeyError, TypeError):
        return path.stat().st_mtime
