"""A language model judges a run's answers: with the run where its spec names a judge, or afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

from studio.core import events
from studio.core.errors import JobError, SpecError, Stopped, StudioError
from studio.evaluation.judge import asking, questions, ratings
from studio.evaluation.judge.report import JudgeReport
from studio.evaluation.judge.settings import Judge
from studio.evaluation.report import Report, SetReport
from studio.models.loading import free_memory
from studio.remote.answers import FILE, Answers
from studio.remote.ceiling import Ceiling
from studio.remote.client import Client
from studio.remote.endpoint import Endpoint, access
from studio.remote.prices import PriceUnknown, price_of, require_limit
from studio.runs import folder as folders
from studio.runs import local_server, report_page, served_models
from studio.runs.folder import RunFolder
from studio.serving.assemble import Source
from studio.spec import RunSpec
from studio.tracking.reporter import Reporter

FIELD = "evaluation.judge"
T = TypeVar("T")


def judge(
    folder: RunFolder,
    set_report: SetReport,
    settings: Judge,
    home: Path,
    serve: Callable[[str], contextlib.AbstractContextManager[local_server.Local]],
    *,
    ledger: Path | None = None,
    confirm: Callable[[float], bool] = lambda worst: True,
    tell: Callable[[int, int, str], None] = lambda done, total, what: None,
    stop: Callable[[], bool] = lambda: False,
) -> JudgeReport:
    """A model's verdicts on the answers of base and tuned that differ, written into the run's folder.

    serve: how a model of this machine is made to answer. ledger: a file in which the ceiling is kept, so that it holds over
    several tries. confirm is asked with the worst case before anything is paid. Raises JobError, SpecError, CeilingReached,
    EvaluationError where no reply holds a verdict, Stopped.
    """
    text = questions.read_rubric(settings.rubric_file)
    indices = ratings.chosen(set_report, settings.most, 0)
    if not indices:
        raise JobError("base and tuned gave the same answers: there is nothing to judge", hint="", where=folder.id)
    pairs = [ratings.pair(set_report.answers[index]) for index in indices]
    with opened(settings, home, serve, ledger) as client:
        confirmed(confirm, asking.worst_cost(client, asking.requests(pairs, text, settings.mode)), folder.id)
        report = asking.judge(client, pairs, indices, text, settings.mode, set_report.name, tell, stop)
    keys = {index: ratings.key(set_report.answers[index]) for index in indices}
    report = report.model_copy(update={"judge": served_models.lasting_name(settings.model, home), "keys": keys})
    report.write(folder.judge)
    return report


def ask(folder: RunFolder, spec: RunSpec, home: Path, reporter: Reporter) -> bool:
    """Ask the judge that a spec names, unless it has read these answers; whether its verdicts are there.

    A judge that cannot be asked costs no run: a warning says how to ask it again. Raises Stopped.
    """
    settings = spec.evaluation.judge
    report = Report.read(folder.report) if settings.on and folder.report.exists() else None
    if report is None or (found := report.unseen) is None or not found.answers:
        return False
    known = report_page.opinion_on(folder, report)
    if known is not None and known.report is not None:
        return True
    judged = or_warned(
        lambda: judge(
            folder, found, settings, home, lambda name: local_server.served(served_models.locate(name, home)),
            ledger=folder.judge_ledger, tell=reporter.progress, stop=reporter.should_stop,
        ),
        reporter, f"studio judge {folder.id} --by {settings.model}",
    )  # fmt: skip
    if judged is None:
        return False
    reporter.event(events.Note(message=f"judge {settings.model}: {judged.sentence}"))
    report_page.write(folder, report)
    return True


def confirmed(confirm: Callable[[float], bool], worst: float, where: str) -> None:
    """Raise JobError unless whoever pays agrees to the worst case in US dollars; what costs nothing is not asked about."""
    if worst and not confirm(worst):
        raise JobError("cancelled: the judge was not asked", hint="Run the command again to continue.", where=where)


def or_warned(judge: Callable[[], T], reporter: Reporter, again: str) -> T | None:
    """What `judge` gives; None, with a warning, where the judge cannot be asked: that costs no work that is done already.

    again: the command that asks it again. Raises Stopped.
    """
    try:
        judged = judge()
    except Stopped:
        raise
    except StudioError as problem:
        reporter.event(events.Warning(message=f"the judge gave no verdict: {problem.message}; to ask it again: {again}"))
        return None
    free_memory()
    return judged


def refuse(spec: RunSpec, home: Path) -> None:
    """Raise SpecError, naming the field, for a judge that cannot be asked: before the run, not after its training."""
    settings = spec.evaluation.judge
    if not settings.on:
        return
    try:
        questions.read_rubric(settings.rubric_file)
    except SpecError as error:
        raise SpecError(error.message, hint=error.hint, where=f"{FIELD}.rubric: {error.where}") from None
    if not spec.data.holdout and not spec.evaluation.folds:
        raise SpecError(
            "there are no held-out rows whose answers could be judged",
            hint="Set data.holdout to 0.1, evaluation.folds to 5, or evaluation.judge to off.",
            where=FIELD,
        )
    endpoint = settings.endpoint
    if endpoint is None:
        refuse_itself(settings.model, spec.model.name, "", home, f"{FIELD}.model")
        return
    access(endpoint)
    try:
        price = price_of(endpoint)
    except PriceUnknown as error:
        hint = "Set evaluation.judge.price_in and price_out, in US dollars per million tokens (0 and 0 if it is free)."
        raise SpecError(error.message, hint=hint, where=f"{FIELD}.price_in, price_out") from None
    hint = "Set evaluation.judge.ceiling in US dollars, which is never exceeded."
    require_limit(endpoint.model, price, settings.ceiling, where=f"{FIELD}.ceiling", hint=hint)


def refuse_itself(name: str, base: str, run: str, home: Path, field: str) -> Source:
    """What a local judge is. Raises SpecError if there is no such model, or if it would judge its own answers."""
    try:
        source = served_models.locate(name, home)
    except StudioError as problem:
        raise SpecError(
            f"`{name}` is neither a run, an export nor a model: {problem.message}", hint=problem.hint, where=field
        ) from None
    with contextlib.suppress(JobError):
        run = run and folders.find(run, home).id
    own = source.run == run if source.run else source.adapter is None and source.model is not None and source.model.name == base
    if own:
        raise SpecError(
            "a model cannot judge its own answers", hint="Name another model as the judge.", where=f"{field} {name}".strip()
        )
    return source


@contextlib.contextmanager
def opened(
    settings: Judge,
    home: Path,
    serve: Callable[[str], contextlib.AbstractContextManager[local_server.Local]],
    ledger: Path | None = None,
) -> Generator[Client]:
    """A client of the judge, with the verdicts that were paid for already, under its ceiling."""
    cached = Answers(home / FILE)
    limit = Ceiling(settings.ceiling, ledger) if settings.ceiling is not None else None
    try:
        with (
            _endpoint(settings.endpoint, settings.model, serve) as endpoint,
            Client(endpoint, ceiling=limit, answers=cached) as client,
        ):
            yield client
    finally:
        cached.close()
        if limit is not None:
            limit.close()


@contextlib.contextmanager
def _endpoint(
    remote: Endpoint | None, name: str, serve: Callable[[str], contextlib.AbstractContextManager[local_server.Local]]
) -> Generator[Endpoint]:
    if remote is not None:
        yield remote
        return
    with serve(name) as local:
        yield local.endpoint
