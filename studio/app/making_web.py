"""Making rows from a page, which makes none in its own process: the form as a recipe, jobs begun, looked after and paused."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studio.app.making import MakingJob, as_yaml
from studio.core.errors import DataError, JobError, SpecError
from studio.core.files import write_text
from studio.data.curation import store
from studio.making import folder, jobs
from studio.making.records import JobStatus
from studio.making.spec import MakingSpec
from studio.processes import tasks, terminate
from studio.remote.endpoint import Endpoint
from studio.remote.prices import PriceUnknown, price_of
from studio.spec import documents as yaml_documents

TASKS = Path("making") / ".tasks"


def from_form(
    sources: Sequence[str] | None,
    name: str,
    url: str,
    model: str,
    price_in: float | None,
    price_out: float | None,
    holdout: float,
    kinds: Sequence[str] | None,
    context: str,
    judge: float | None,
    terms: str,
) -> MakingSpec:
    """The recipe that the page's form describes. Raises SpecError."""
    teacher: dict[str, Any] = {"url": (url or "").strip(), "model": (model or "").strip()}
    if price_in or price_out:  # an empty number comes as 0
        teacher["price"] = {"input": price_in or 0, "output": price_out or 0}
    with_context = ("questions", "unanswerable")
    recipes = [{"kind": kind, **({"context": context} if kind in with_context else {})} for kind in kinds or ()]
    values: dict[str, Any] = {
        "name": (name or "").strip() or "Made rows", "documents": list(sources or ()), "holdout": holdout, "teacher": teacher,
        "terms": (terms or "").strip(), "recipes": recipes,
    }  # fmt: skip
    if judge:
        values["filters"] = {"judge": judge}
    return folder.parse(values, "")


def form_of(spec: MakingSpec) -> tuple[Any, ...] | None:
    """The form's values for a recipe, in the order of `from_form`; None for one that the form cannot say."""
    kinds, teacher, price = [recipe.name for recipe in spec.recipes], spec.teacher, spec.teacher.price
    paid = (price.input, price.output) if price else (None, None)
    for context in ("passage", "none"):
        values: tuple[Any, ...] = (
            spec.documents, spec.name, teacher.url, teacher.model, *paid, spec.holdout, kinds, context, spec.filters.judge,
            spec.terms,
        )  # fmt: skip
        with contextlib.suppress(SpecError):
            if from_form(*values) == spec:
                return values
    return None


def last_planned(home: Path) -> MakingSpec | None:
    """The recipe that was planned last from a page."""
    try:
        text = (home / TASKS / "planned.yaml").read_text(encoding="utf-8")
        return folder.parse(yaml_documents.parse(text, "recipe")[0], "recipe")
    except (OSError, SpecError):
        return None


def from_web(text: str, home: Path) -> MakingSpec:
    """A recipe that was written in the browser. Raises SpecError, also for what a page may not name: a file outside the home,
    or a key, which would be sent to whatever address stands beside it."""
    values, lines = yaml_documents.parse(text, "recipe")
    spec = folder.parse(values, "recipe", lines)
    for field in ("teacher", "student", "judge"):
        endpoint: Endpoint | None = getattr(spec, field)
        if endpoint is not None and endpoint.key:
            raise SpecError(
                "the web studio sends a key to its own host only",
                hint="Leave `key` out; for another variable use the command: studio make plan.",
                where=f"{field}.key",
            )
    for field, names in (("questions", [spec.questions] if spec.questions else []), ("against", spec.against)):
        for name in names:
            if not name.startswith("dataset:") and not Path(name).expanduser().resolve().is_relative_to(home.resolve()):
                raise SpecError(
                    "the web studio opens only files in its own library",
                    hint="Name a dataset, or use the command: studio make plan.",
                    where=field,
                )
    return spec


def keys_of(status: JobStatus, home: Path) -> dict[str, str]:
    """The datasets of a job that are still in the library, with the key that their pages take."""
    found: dict[str, str] = {}
    for name in (status.dataset, status.held_out_dataset, status.pairs_dataset):
        if name:
            with contextlib.suppress(DataError):
                found[name] = store.named(home, name).key
    return found


def begin(job: MakingJob, home: Path, ceiling: float | None) -> None:
    """Begin, or go on with, a job in a process that outlives the page and its server. Raises SpecError, JobError."""
    try:
        jobs.check(job.folder.spec, ceiling if ceiling is not None else job.status.ceiling)
    except SpecError as error:
        if error.where != "ceiling":
            raise
        raise SpecError(error.message, hint="Fill in the maximum cost in US dollars.", where="Ceiling (USD)") from None
    limit = ["--ceiling", str(ceiling)] if ceiling is not None else []
    tasks.begin(home / TASKS, "make", job.id, ["make", "resume", job.id, *limit], home)


def begin_plan(recipe: MakingSpec, home: Path) -> str:
    """Begin to plan in a process of its own; the name `planning` takes. Raises SpecError for a price that is not known,
    JobError while another is being made."""
    try:
        price_of(recipe.teacher)
    except PriceUnknown as error:
        raise SpecError(error.message, hint="Fill in both prices.", where="Price") from None
    before = task(home, "plan", "new")
    if before is not None and before.state == "running":  # its recipe stays as it was read
        raise JobError("the plan before is still being made", hint="Plan again when its samples are there.", where="Plan")
    file = home / TASKS / "planned.yaml"
    write_text(file, as_yaml(recipe))
    tasks.begin(file.parent, "plan", "new", ["make", "plan", str(file)], home)
    return "new"


def begin_example(home: Path) -> None:
    """Begin the shipped example in a process of its own."""
    tasks.begin(home / TASKS, "example", "handbook", ["make", "example"], home)


def task(home: Path, kind: str, name: str) -> tasks.Task | None:
    """A process that the page began: `make`, `plan` or `example`."""
    return tasks.task(home / TASKS, kind, name)


def document(home: Path, kind: str, name: str) -> Any:
    """What such a process has printed."""
    return tasks.document(home / TASKS, kind, name)


def forget(home: Path, kind: str, name: str) -> None:
    """Forget such a process, and end it if it still works."""
    tasks.stop(home / TASKS, kind, name)


def pause(job: MakingJob) -> None:
    """Ask a running job to stop: what is under way is finished and kept."""
    process = job.status.process
    if process is not None:
        terminate.request(process)
