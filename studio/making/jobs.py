"""Planning, running and resuming jobs: what is spent stays under the ceiling, what was answered is never paid again."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from studio.core.errors import JobError, StudioError
from studio.core.records import ErrorRecord
from studio.core.text import duration
from studio.documents.records import Passage
from studio.making import folder as folders
from studio.making import planning
from studio.making.folder import JobFolder
from studio.making.records import JobStatus, MakingPlan
from studio.making.sources import Sources, gather
from studio.making.spec import MakingSpec
from studio.making.summary import MakingOutcome
from studio.making.work import Clients, Work
from studio.processes import locks
from studio.processes.identity import ProcessId
from studio.remote.answers import FILE, Answers
from studio.remote.ceiling import Ceiling, positive
from studio.remote.client import PATIENCE, TIMEOUT, Client
from studio.remote.endpoint import Endpoint
from studio.remote.prices import price_of, require_limit
from studio.remote.refusals import Refused

SAMPLES_CEILING = 0.25
"""US dollars that the samples of a plan may cost, where no ceiling is given."""
SAMPLES_PATIENCE = 20.0
"""Seconds a sample is tried again for: somebody waits for it, and nothing is lost if it is asked for later."""
SAMPLES_TIMEOUT = 120.0
"""Seconds of silence after which a sample has no answer: somebody waits for it."""
_EVERY = 0.5
"""Seconds between two writings of how far a job is."""

PassagesOf = Callable[[Path, str], Sequence[Passage]]
Told = Callable[[JobStatus], None]


def plan(home: Path, spec: MakingSpec, passages_of: PassagesOf, ceiling: float | None = None, samples: int = 3) -> JobFolder:
    """A planned job: a few real samples, which are paid and count as spent, and what the rest will take.

    The newest job of the same spec that has not begun is planned again. Raises SpecError, DataError, Refused: of a job that
    has no plan then, nothing stays, unless something was paid, which its ceiling goes on counting; it is then `failed`.
    """
    sources = gather(spec, home, passages_of)
    price = price_of(spec.teacher)
    ceiling = SAMPLES_CEILING if ceiling is None else positive(ceiling)
    job = folders.same(home, spec)
    if job is None or not _can_be_planned(job.status):
        job = folders.create(home, spec)
    spent = 0.0
    try:
        with (
            closing(Answers(job.home / FILE)) as answers,
            _opened(job, spec, ceiling, {"teacher"}, SAMPLES_PATIENCE, SAMPLES_TIMEOUT) as (clients, money),
        ):
            try:
                made = planning.plan(spec, sources, price, clients.teacher if samples else None, samples, answers)
            finally:
                spent = money.spending.spent if money else 0.0
    except BaseException as error:
        if not (job.path / "plan.json").exists():
            if spent:
                job.set_status(JobStatus(state="failed", spent=spent, error=ErrorRecord.of(_as_known(error, job))))
            else:
                shutil.rmtree(job.path, ignore_errors=True)
        raise
    made.write(job.path / "plan.json")
    if job.status.state != "planned":
        job.set_status(JobStatus(state="planned"))
    return job


def _can_be_planned(status: JobStatus) -> bool:
    """Whether nothing was made yet: it is planned, or its plan failed."""
    return status.state == "planned" or (status.state == "failed" and status.started is None and status.error is not None)


def approve(job: JobFolder) -> MakingPlan:
    """Note that somebody has looked at the samples and wants more of them. Raises JobError if nothing was planned."""
    found = job.plan
    if found is None:
        raise JobError("this job has no plan", hint="Plan it: studio make plan", where=job.id)
    found = found.model_copy(update={"approved": True})
    found.write(job.path / "plan.json")
    return found


def check(spec: MakingSpec, ceiling: float | None) -> None:
    """Raise SpecError before anything is started: a price that is not known, a ceiling that is no amount, or no ceiling where
    something costs money."""
    if ceiling is not None:
        positive(ceiling)
    for name, endpoint in _endpoints(spec).items():
        hint = "Set the maximum cost in US dollars: --ceiling 5"
        require_limit(f"the {name} {endpoint.model}", price_of(endpoint), ceiling, where="ceiling", hint=hint)


def run(
    job: JobFolder,
    passages_of: PassagesOf,
    ceiling: float | None = None,
    on_status: Told = lambda status: None,
    stop: Callable[[], bool] = lambda: False,
) -> JobStatus:
    """Do a job's work, or go on with it; how it ended. Only one process works on a job: raises JobError for another.

    ceiling: US dollars that the job may cost in all, with what it has cost before; None keeps the one it had. Raises
    SpecError, DataError, Refused; the job is then `failed` and can be resumed.
    """
    spec, before = job.spec, job.status
    ceiling = ceiling if ceiling is not None else before.ceiling
    check(spec, ceiling)
    try:
        with locks.hold(job.lock):
            return _run(job, spec, passages_of, ceiling, before, on_status, stop)
    except locks.LockHeld:
        raise JobError("this job is already running", hint="studio make report shows its progress.", where=job.id) from None


def _run(
    job: JobFolder,
    spec: MakingSpec,
    passages_of: PassagesOf,
    ceiling: float | None,
    before: JobStatus,
    on_status: Told,
    stop: Callable[[], bool],
) -> JobStatus:
    begun = time.time()
    total = (job.plan.calls if job.plan else 0) or before.total
    status = before.model_copy(
        update={
            "state": "running", "what": "reading sources", "waiting": "", "done": 0, "total": total, "ceiling": ceiling,
            "started": before.started or begun, "ended": None, "process": ProcessId.current(),
            "process_started": begun, "error": None,
        }
    )  # fmt: skip
    job.set_status(status)
    on_status(status)
    try:
        sources = gather(spec, job.home, passages_of)
        if not total:  # it was not planned
            total = planning.plan(spec, sources, price_of(spec.teacher), None, 0).calls
            status = status.model_copy(update={"total": total})
        made, status = _work(job, spec, sources, status, begun, on_status, stop)
    except BaseException as error:
        known = ErrorRecord.of(_as_known(error, job))
        ended = {"state": "failed", "error": known, "process": None, "ended": time.time()}
        job.set_status(status.model_copy(update={**ended, "seconds": before.seconds + max(0.0, time.time() - begun)}))
        raise
    state = "ceiling" if made.error else "paused" if made.stopped else "done"
    ended = {"state": state, "error": ErrorRecord.of(made.error) if made.error else None, "process": None, "waiting": ""}
    if state == "done":
        ended |= {"done": status.done, "total": status.done}
    status = status.model_copy(
        update={**ended, "ended": time.time(), "seconds": before.seconds + max(0.0, time.time() - begun)}
    )
    job.set_status(status)
    on_status(status)
    return status


def _as_known(error: BaseException, job: JobFolder) -> StudioError:
    """The error as a job keeps it."""
    if isinstance(error, StudioError):
        return error
    return JobError(f"it ended with {type(error).__name__}", hint=f"Resume it: studio make resume {job.id}", where=job.id)


def _work(
    job: JobFolder,
    spec: MakingSpec,
    sources: Sources,
    status: JobStatus,
    begun: float,
    on_status: Told,
    stop: Callable[[], bool],
) -> tuple[MakingOutcome, JobStatus]:
    written, calls, writing = 0.0, 0, threading.Lock()

    def show(update: dict[str, object]) -> None:
        """From the threads that wait, too."""
        nonlocal status, written
        with writing:
            now = time.monotonic()
            if now - written < _EVERY and update["waiting"] == status.waiting:
                return
            written = now
            status = status.model_copy(update=update)
            job.set_status(status)
            on_status(status)

    def waits(error: Refused, seconds: float) -> None:
        again = f"tried again in {duration(seconds)}" if seconds >= 1 else "tried again"
        show({"waiting": f"{error.message.rstrip('.')}; {again}"})

    with _opened(job, spec, status.ceiling, set(_endpoints(spec)), on_wait=waits) as (clients, money):

        def counted(done: int, what: str) -> None:
            nonlocal calls
            calls = done
            spent = money.spending.spent if money else 0.0
            show({"done": done, "total": max(done, status.total), "what": what, "spent": spent, "waiting": ""})

        made = Work(spec, sources, clients, job.id, counted, stop).run()
        spending = money.spending if money else None
    assert made.report is not None
    update = {"spent": spending.spent, "lost": spending.lost} if spending else {}
    job.write_result(made.rows, made.dropped, made.report.model_copy(update=update))
    spent = spending.spent if spending else 0.0
    return made, status.model_copy(update={"done": calls, "total": max(calls, status.total), "spent": spent})


@contextmanager
def _opened(
    job: JobFolder,
    spec: MakingSpec,
    ceiling: float | None,
    wanted: set[str],
    patience: float = PATIENCE,
    timeout: float = TIMEOUT,
    on_wait: Callable[[Refused, float], object] = lambda error, seconds: None,
) -> Iterator[tuple[Clients[Client], Ceiling | None]]:
    """The clients of a job, under one ceiling and with the home's cache."""
    with ExitStack() as stack:
        answers = Answers(job.home / FILE)
        stack.callback(answers.close)
        money = Ceiling(ceiling, job.ledger) if ceiling is not None else None
        if money:
            stack.callback(money.close)

        def client(name: str) -> Client | None:
            endpoint = _endpoints(spec).get(name)
            if endpoint is None or name not in wanted:
                return None
            made = Client(
                endpoint,
                ceiling=money,
                answers=answers,
                concurrency=spec.concurrency,
                patience=patience,
                timeout=timeout,
                on_wait=on_wait,
            )
            return stack.enter_context(made)

        teacher = client("teacher")
        assert teacher is not None
        yield Clients(teacher, client("student"), client("judge")), money


def _endpoints(spec: MakingSpec) -> dict[str, Endpoint]:
    """The models that a job asks, by what they are to it."""
    found = {"teacher": spec.teacher}
    if spec.student and any(recipe.name == "preferences" for recipe in spec.recipes):
        found["student"] = spec.student
    if spec.judge and spec.filters.judge is not None:
        found["judge"] = spec.judge
    return found
