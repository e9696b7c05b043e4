"""Use cases of making rows: plan a job with real samples, run and resume it under a ceiling, put its rows into the library."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.core import resources
from studio.core.errors import SpecError
from studio.core.fields import Alternatives, Leaf, leaves
from studio.core.files import studio_home
from studio.core.records import RecordError
from studio.core.text import dollars
from studio.documents import store as documents
from studio.documents.records import Passage
from studio.making import canned, dataset, folder, jobs
from studio.making.folder import JobFolder
from studio.making.records import DroppedRow, JobStatus, MadeRow, MakingPlan, MakingReport
from studio.making.spec import MakingSpec
from studio.making.summary import examples
from studio.remote.endpoint import Endpoint, Price
from studio.remote.prices import PriceUnknown, price_of
from studio.spec import documents as yaml_documents
from studio.tracking.reporter import Silent

__all__ = ["JobFolder", "JobStatus", "MadeRow", "MakingJob", "MakingPlan", "MakingReport", "MakingSpec", "examples"]

EXAMPLE = "handbook"
"""The shipped recipe, collection and documents that `example` uses."""


@dataclass(frozen=True)
class MakingJob:
    """A job, for Python: what it is to make, how far it is, what came of it."""

    folder: JobFolder

    @property
    def id(self) -> str:
        """Its name in the command and on pages."""
        return self.folder.id

    @property
    def status(self) -> JobStatus:
        """How far it is and what it has spent."""
        return self.folder.status

    @property
    def plan(self) -> MakingPlan | None:
        """Calls, tokens, cost, and real samples."""
        return self.folder.plan

    @property
    def report(self) -> MakingReport | None:
        """From calls to rows, what it cost, what was dropped."""
        return self.folder.report

    @property
    def rows(self) -> list[MadeRow]:
        """The rows it made."""
        return list(self.folder.rows())

    @property
    def dropped(self) -> list[DroppedRow]:
        """What it did not keep, with the reason."""
        return list(self.folder.dropped())

    @property
    def dataset(self) -> str:
        """`dataset:NAME@1`, which a spec trains on; empty while its rows are not in the library."""
        return self.status.dataset

    @property
    def held_out(self) -> str:
        """The dataset of the held-out documents' rows, for `data.holdout`; empty if there are none."""
        return self.status.held_out_dataset

    def __repr__(self) -> str:
        status = self.status
        rows = f", {self.report.rows + self.report.held_out + self.report.pairs:,} rows" if self.report else ""
        return f"<MakingJob {self.id}: {status.state}, {status.done:,} requests{rows}, {dollars(status.spent)}>"


def load(source: str | Path | Mapping[str, Any] | MakingSpec) -> MakingSpec:
    """A recipe from a YAML file, the name of a shipped one, or plain values. Raises SpecError with file, line and field."""
    if isinstance(source, MakingSpec):
        return source
    if isinstance(source, Mapping):
        return folder.parse(dict(source), "")
    path = Path(source).expanduser()
    shipped = recipes().get(str(source))
    if not path.exists() and shipped:
        path = shipped
    values, lines = yaml_documents.parse(yaml_documents.read(path), str(path))
    own = values.get("questions")
    if isinstance(own, str) and own and not Path(own).expanduser().exists() and (path.parent / own).exists():
        values["questions"] = str(path.parent / own)  # a file beside the recipe
    return folder.parse(values, str(path), lines)


def recipes() -> dict[str, Path]:
    """The shipped recipes by name."""
    return {file.stem: file for file in sorted((resources.folder("configs") / "recipes").glob("*.yaml"))}


def fields() -> list[Leaf | Alternatives]:
    """Every field of a recipe, for reference and forms."""
    return list(leaves(MakingSpec))


def schema() -> dict[str, Any]:
    """The JSON schema of a recipe, for editors."""
    return MakingSpec.model_json_schema()


def as_yaml(spec: MakingSpec) -> str:
    """A recipe as a file."""
    return folder.as_yaml(spec)


def edit(spec: MakingSpec, changes: Mapping[str, Any]) -> MakingSpec:
    """A recipe with some fields changed. Raises SpecError."""
    return folder.parse({**spec.model_dump(exclude_unset=True), **changes}, "")


def passages_of(home: Path, name: str) -> Sequence[Passage]:
    """The passages of a document collection. Raises DataError."""
    return list(documents.find(home, name).passages())


def price(endpoint: Endpoint) -> Price | None:
    """What a model costs; None if that has to be asked."""
    try:
        return price_of(endpoint)
    except PriceUnknown:
        return None


def plan_rows(
    recipe: str | Path | Mapping[str, Any] | MakingSpec,
    *,
    ceiling: float | None = None,
    samples: int = jobs.planning.SAMPLES,
    home: str | Path | None = None,
) -> MakingJob:
    """A planned job: a few real samples, the calls, the tokens, the range of the cost.

    ceiling: US dollars that the samples may cost. samples: how many; 0 asks nobody. Raises SpecError, DataError, Refused.
    """
    return MakingJob(jobs.plan(studio_home(home), load(recipe), passages_of, ceiling, samples))


def make_rows(
    recipe: str | Path | Mapping[str, Any] | MakingSpec | MakingJob,
    *,
    ceiling: float | None = None,
    home: str | Path | None = None,
    report: Callable[[JobStatus], None] = lambda status: None,
    stop: Callable[[], bool] = lambda: False,
) -> MakingJob:
    """Make the rows of a recipe or of a planned job, and put them into the library; also goes on with a job that was stopped.

    ceiling: US dollars that the job may cost in all; needed unless every model is on this machine. What was answered before
    is not paid again. Raises SpecError, DataError, Refused.
    """
    if isinstance(recipe, MakingJob):
        job = recipe.folder
    else:
        spec = load(recipe)
        jobs.check(spec, ceiling)
        job = folder.same(studio_home(home), spec) or folder.create(studio_home(home), spec)
    status = jobs.run(job, passages_of, ceiling, report, stop)
    if status.state == "done" and any(True for _ in job.rows()):
        dataset.write(job)
    return MakingJob(job)


def find(name: str, home: str | Path | None = None) -> MakingJob:
    """A job by its id, the beginning of it, or `last`. Raises JobError."""
    return MakingJob(folder.find(studio_home(home), name))


def list_jobs(home: str | Path | None = None) -> list[MakingJob]:
    """All jobs, newest first."""
    return [MakingJob(job) for job in folder.jobs(studio_home(home))]


def list_readable(home: str | Path | None = None) -> list[MakingJob]:
    """The jobs whose records can all be read, newest first, for lists; `damage.damages` names the others."""
    found: list[MakingJob] = []
    for job in list_jobs(home):
        with contextlib.suppress(RecordError, SpecError):
            _ = (job.folder.spec, job.plan, job.report)
            found.append(job)
    return found


def to_dataset(job: MakingJob, title: str = "") -> JobStatus:
    """Put the rows that a job has made so far into the library. Raises DataError."""
    return dataset.write(job.folder, title)


def approve(job: MakingJob) -> MakingPlan:
    """Note that the samples are good. Raises JobError."""
    return jobs.approve(job.folder)


def example(home: str | Path | None = None, report: Callable[[JobStatus], None] = lambda status: None) -> MakingJob:
    """The shipped example, with a teacher that answers by patterns: the handbook's documents become rows, without a key."""
    root = studio_home(home)
    pages = sorted((resources.folder("datasets") / "handbook").glob("*.md"))
    documents.add(root, EXAMPLE, [(file.name, file) for file in pages], Silent())
    spec = load(EXAMPLE)
    with canned.serve() as url:
        teacher = spec.teacher.model_dump(exclude_unset=True)
        return make_rows(edit(spec, {"teacher": {**teacher, "url": url}}), home=root, report=report)


def as_dict(job: MakingJob) -> dict[str, object]:
    """As plain values, for `--json`. Raises RecordError for a damaged plan or report."""
    found_plan, report = job.plan, job.report
    return {
        "id": job.id,
        "status": job.status.as_json(),
        "plan": found_plan.as_json() if found_plan else None,
        "report": report.as_json() if report else None,
    }


def seconds_left(status: JobStatus, now: float) -> float | None:
    """How long a running job will take yet, at its pace since it was started; None while nothing can be told, as when the
    teacher does not answer."""
    if status.waiting or status.state != "running" or not status.done or status.started is None or status.total <= status.done:
        return None
    began = status.process_started or status.started
    return max(0.0, now - began) / status.done * (status.total - status.done)
