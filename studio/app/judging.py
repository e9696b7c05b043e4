"""Use cases of judging: a model judges a run's held-out answers, people rate pairs blind, and both are compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from studio.app import local_server
from studio.core.errors import JobError, SpecError, StudioError

if TYPE_CHECKING:
    from studio.app.runs import Run
    from studio.evaluation.interval import Estimate
    from studio.evaluation.judge.ratings import Blind
    from studio.evaluation.judge.report import JudgeReport, Winner
    from studio.evaluation.report import SetReport

HELD_OUT = "held-out"


@dataclass(frozen=True)
class Opinion:
    """What a judge and people found. report: None before a judge was asked. grey: its figures are not to be believed."""

    report: JudgeReport | None
    kappa: Estimate | None
    rated: int
    doubts: tuple[str, ...]
    decides: bool


def judge(
    run: Run,
    by: str,
    home: Path,
    *,
    rubric: str = "",
    mode: Literal["pairwise", "pointwise"] = "pairwise",
    most: int = 100,
    key: str | None = None,
    price: tuple[float, float] | None = None,
    ceiling: float | None = None,
    confirm: Callable[[float], bool] = lambda worst: True,
    tell: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> JudgeReport:
    """A model's verdicts on the held-out answers of base and tuned that differ; at most `most` of them.

    by: a run, an export or a model served here, or an API, `URL#MODEL`. confirm is asked with the worst case before anything is
    paid. Raises SpecError for a run that would judge itself, JobError, CeilingReached.
    """
    from studio.evaluation.judge import asking, questions, ratings
    from studio.remote.answers import FILE, Answers
    from studio.remote.ceiling import Ceiling
    from studio.remote.client import Client

    found, text = _answered(run), questions.read_rubric(rubric)
    _refuse_itself(run, by, home)
    indices = ratings.chosen(found, most, 0)
    if not indices:
        raise JobError("base and tuned gave the same answers: there is nothing to judge", hint="", where=run.id)
    pairs = [ratings.pair(found.answers[index]) for index in indices]
    remote = local_server.endpoint(by, key, price) if by.startswith("http") else None
    cached, limit = Answers(home / FILE), Ceiling(ceiling) if ceiling is not None else None
    try:
        with local_server.serve(by, home) as local, Client(remote or local.endpoint, ceiling=limit, answers=cached) as client:
            worst = asking.worst_cost(client, asking.requests(pairs, text, mode))
            if worst and not confirm(worst):
                raise JobError("cancelled: the judge was not asked", hint="Run the command again to continue.", where=run.id)
            report = asking.judge(client, pairs, indices, text, mode, HELD_OUT, tell)
    finally:
        cached.close()
        if limit is not None:
            limit.close()
    report = report.model_copy(update={"judge": by, "keys": {index: ratings.key(found.answers[index]) for index in indices}})
    report.write(run.folder.judge)
    return report


def opinion(run: Run) -> Opinion:
    """What is known of the held-out answers beyond their scores."""
    from studio.evaluation.judge import ratings
    from studio.evaluation.judge.report import JudgeReport

    found = _answered(run)
    people = ratings.read(run.folder.ratings, found.answers)
    if not run.folder.judge.exists():
        return Opinion(None, None, len(people), (), False)
    report = JudgeReport.read(run.folder.judge)
    rows = found.answers
    if any(index >= len(rows) or ratings.key(rows[index]) != key for index, key in report.keys.items()):
        return Opinion(None, None, len(people), ("the judge read the answers of an earlier evaluation: run it again",), False)
    return Opinion(report, report.kappa(people), len(people), tuple(report.doubts(people)), report.decides(people))


def pairs_to_rate(run: Run) -> tuple[list[Blind], dict[int, Winner]]:
    """The pairs a person is shown, and what was rated already, by index. Raises JobError for a run without answers."""
    from studio.evaluation.judge import ratings

    found = _answered(run)
    return ratings.blind(found), ratings.read(run.folder.ratings, found.answers)


def rate(run: Run, key: str, choice: Literal["A", "B", "tie"]) -> None:
    """Keep a person's rating of a pair. Raises JobError for a pair that is not shown."""
    from studio.evaluation.judge import ratings

    shown = next((item for item in pairs_to_rate(run)[0] if item.key == key), None)
    if shown is None or choice not in ("A", "B", "tie"):
        raise JobError("there is no such pair", hint="Open the page again.", where=key[:40])
    ratings.Rating(key=key, winner=shown.winner(choice), at=time.time()).append(run.folder.ratings)


def _answered(run: Run) -> SetReport:
    report = run.report if run.folder.report.exists() else None
    found = report.set(HELD_OUT) if report is not None else None
    if found is None or not found.answers:
        raise JobError("this run has no held-out answers", hint="Evaluate it with data.holdout set.", where=run.id)
    return found


def _refuse_itself(run: Run, by: str, home: Path) -> None:
    from studio.app import runs

    try:
        same = runs.find(by, home).id == run.id
    except StudioError:
        same = by == run.spec.model.name
    if same:
        raise SpecError("a model cannot judge its own answers", hint="Name another model with --by.", where=f"--by {by}")
