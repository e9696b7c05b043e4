"""The folder of a job, `<home>/making/<id>/`: what it is to do, how far it is, what it made."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from studio.core.errors import JobError, SpecError
from studio.core.fields import leaves
from studio.core.files import make_home, read_json_lines, write_text
from studio.core.records import ErrorRecord, Record, RecordError
from studio.core.text import nearest, slug
from studio.core.validation_errors import explain
from studio.making.records import DroppedRow, JobStatus, MadeRow, MakingPlan, MakingReport
from studio.making.spec import MakingSpec
from studio.processes import locks

AnyRecord = TypeVar("AnyRecord", bound=Record)


@dataclass(frozen=True)
class JobFolder:
    """A job's files."""

    path: Path

    @property
    def id(self) -> str:
        """Its name and a few random digits."""
        return self.path.name

    @property
    def home(self) -> Path:
        """The home it is in."""
        return self.path.parent.parent

    @property
    def ledger(self) -> Path:
        """What it has spent."""
        return self.path / "ledger.sqlite"

    @property
    def lock(self) -> Path:
        """Held by the process that works on it."""
        return self.path / ".lock"

    @property
    def spec(self) -> MakingSpec:
        """What it is to make."""
        file = self.path / "recipe.yaml"
        try:
            return parse(yaml.safe_load(file.read_text(encoding="utf-8")), str(file))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise RecordError(
                f"the job's recipe cannot be read: {error}", hint="Start a new job from the recipe.", where=str(file)
            ) from None

    @property
    def plan(self) -> MakingPlan | None:
        """What was planned, if it was."""
        return self._read(MakingPlan, "plan.json")

    @property
    def report(self) -> MakingReport | None:
        """What came of it, once there is something."""
        return self._read(MakingReport, "report.json")

    @property
    def status(self) -> JobStatus:
        """How far it is. One whose process is gone without a word is interrupted."""
        try:
            status = JobStatus.read(self.path / "status.json")
        except FileNotFoundError:
            return JobStatus(state="planned")
        except RecordError as error:
            return JobStatus(state="failed", error=ErrorRecord.of(error))
        gone = status.state == "running" and not (status.process and status.process.alive()) and not locks.is_held(self.lock)
        if not gone:
            return status
        error = JobError(
            "the process of this job has disappeared (killed, or the machine restarted)",
            hint=f"Resume it: studio make resume {self.id}. Answers already paid for are not paid again.",
            where=self.id,
        )
        return status.model_copy(update={"state": "interrupted", "process": None, "error": ErrorRecord.of(error)})

    def set_status(self, status: JobStatus) -> None:
        """Write how far it is."""
        status.write(self.path / "status.json", durable=status.state != "running")

    def rows(self) -> Iterator[MadeRow]:
        """The rows it made."""
        return self._lines(MadeRow, "made.jsonl")

    def dropped(self) -> Iterator[DroppedRow]:
        """What it did not keep."""
        return self._lines(DroppedRow, "dropped.jsonl")

    def write_result(self, rows: Sequence[MadeRow], dropped: Sequence[DroppedRow], report: MakingReport) -> None:
        """Write what it made; the report last."""
        for name, items in (("made.jsonl", rows), ("dropped.jsonl", dropped)):
            write_text(self.path / name, _as_lines(items))
        report.write(self.path / "report.json")

    def _read(self, kind: type[AnyRecord], name: str) -> AnyRecord | None:
        with contextlib.suppress(FileNotFoundError):
            return kind.read(self.path / name)
        return None

    def _lines(self, kind: type[AnyRecord], name: str) -> Iterator[AnyRecord]:
        file = self.path / name
        for line in read_json_lines(file):
            yield kind.from_json(line, where=str(file))


def parse(values: object, source: str, lines: dict[str, str] | None = None) -> MakingSpec:
    """The spec in plain values. Raises SpecError with file, line and field."""
    if not isinstance(values, dict):
        raise SpecError("a recipe is a mapping of fields", hint="Begin with `teacher:` and `recipes:`.", where=source)
    try:
        return MakingSpec.model_validate(values)
    except ValidationError as error:
        raise explain(error, list(leaves(MakingSpec)), source, lines or {}) from None


def create(home: Path, spec: MakingSpec) -> JobFolder:
    """A new job, in state `planned`."""
    folder = JobFolder(make_home(home) / "making" / f"{slug(spec.name)}-{secrets.token_hex(3)}")
    folder.path.mkdir(parents=True)
    write_text(folder.path / "recipe.yaml", as_yaml(spec))
    folder.set_status(JobStatus(state="planned"))
    return folder


def as_yaml(spec: MakingSpec) -> str:
    """The spec as a recipe file."""
    return yaml.safe_dump(spec.model_dump(mode="json", exclude_unset=True), sort_keys=False, allow_unicode=True, width=120)


def jobs(home: Path) -> list[JobFolder]:
    """All jobs, newest first; what pages have begun lies in a hidden folder beside them and is none."""
    found = [JobFolder(file.parent) for file in (home / "making").glob("[!.]*/recipe.yaml")]
    return sorted(found, key=lambda job: (job.path / "recipe.yaml").stat().st_mtime, reverse=True)


def find(home: Path, name: str) -> JobFolder:
    """A job by its id, the beginning of it, or `last`. Raises JobError."""
    known = jobs(home)
    if name == "last" and known:
        return known[0]
    matches = [job for job in known if job.id == name] or [job for job in known if job.id.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    ids = [job.id for job in known]
    near = nearest(name, ids)
    if matches:
        hint = f"Several jobs match: {', '.join(job.id for job in matches[:5])}."
    elif near:
        hint = f"Did you mean {near}?"
    else:
        hint = f"Jobs: {', '.join(ids[:8])}." if ids else "Plan one: studio make plan RECIPE.yaml"
    raise JobError(f"there is no job `{name}`", hint=hint, where=str(home / "making"))


def same(home: Path, spec: MakingSpec) -> JobFolder | None:
    """The newest job with this very spec."""
    wanted = spec.model_dump()
    for job in jobs(home):
        with contextlib.suppress(SpecError, RecordError):
            if job.spec.model_dump() == wanted:
                return job
    return None


def _as_lines(items: Iterable[Record]) -> str:
    return "".join(json.dumps(item.as_line(), ensure_ascii=False) + "\n" for item in items)
