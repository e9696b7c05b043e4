"""Use cases of judging: a model judges a run's held-out answers, people rate pairs blind, and both are compared."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from studio.app import local_server, runs
from studio.core.errors import JobError
from studio.core.files import studio_home

if TYPE_CHECKING:
    from studio.app.runs import Run
    from studio.evaluation.judge.conversion import JudgedExport
    from studio.evaluation.judge.opinion import Opinion
    from studio.evaluation.judge.ratings import Blind
    from studio.evaluation.judge.report import JudgeReport, Winner
    from studio.evaluation.judge.settings import Judge
    from studio.evaluation.report import SetReport


def judge(
    run: Run | str | Path,
    by: str,
    home: str | Path | None = None,
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

    run: a run, an id, an id prefix, or `last`. by: a run, an export or a model served here, or an API, `URL#MODEL`. rubric: a
    text file; empty for the shipped one. price: US dollars per million input and output tokens. confirm is asked with the
    worst case before anything is paid. Raises SpecError for a run that would judge itself, JobError, CeilingReached,
    EvaluationError where no reply holds a verdict.
    """
    from studio.runs import judging, report_page

    root = studio_home(home)
    found = runs.find(run, root) if not isinstance(run, runs.Run) else run
    settings = _settings(by, rubric, mode, most, key, price, ceiling)
    answered = _answered(found)
    if settings.endpoint is None:
        judging.refuse_itself(by, found.spec.model.name, found.id, root, "--by")
    report = judging.judge(
        found.folder, answered, settings, root, lambda name: local_server.serve(name, root), confirm=confirm, tell=tell
    )
    report_page.write(found.folder, found.report)
    return report


def judge_export(
    export: str,
    by: str,
    home: str | Path | None = None,
    *,
    rubric: str = "",
    most: int = 100,
    key: str | None = None,
    price: tuple[float, float] | None = None,
    ceiling: float | None = None,
    confirm: Callable[[float], bool] = lambda worst: True,
    tell: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> JudgedExport:
    """A model's verdicts on the answers of an export, `RUN:EXPORT`, that differ from those of base + adapter.

    As `judge` otherwise. Raises JobError for an export without answers.
    """
    from studio import pipeline
    from studio.export.artifacts import manifest
    from studio.runs import export_judging, folder, judging

    root = studio_home(home)
    place = folder.find_export(export, root)
    if place is None:
        raise JobError("this names no export", hint="Write RUN:EXPORT, for example last:gguf-q8_0.", where=export)
    found = runs.find(place.parent.parent.name, root)
    settings = _settings(by, rubric, "pairwise", most, key, price, ceiling)
    if settings.endpoint is None:
        judging.refuse_itself(by, found.spec.model.name, found.id, root, "--by")
    source = pipeline.export_source(found.folder, pipeline.reopen(found.folder))
    made = export_judging.judge(
        found.folder, source, manifest.read(place), settings, root, lambda name: local_server.serve(name, root),
        confirm=confirm, tell=tell,
    )  # fmt: skip
    assert made.verification.judged is not None
    return made.verification.judged


def opinion(run: Run | str | Path, home: str | Path | None = None) -> Opinion:
    """What a judge and people found of the held-out answers, and whether the judge's figures may be believed. Raises JobError
    for a run without answers."""
    from studio.evaluation.judge.opinion import opinion

    found = run if isinstance(run, runs.Run) else runs.find(run, home)
    return opinion(_answered(found).answers, found.folder.judge, found.folder.ratings)


def pairs_to_rate(run: Run) -> tuple[list[Blind], dict[int, Winner]]:
    """The pairs a person is shown, and what was rated already, by index. Raises JobError for a run without answers."""
    from studio.evaluation.judge import ratings

    found = _answered(run)
    return ratings.blind(found), ratings.read(run.folder.ratings, found.answers)


def rate(run: Run, key: str, choice: Literal["A", "B", "tie"]) -> None:
    """Keep a person's rating of a pair. Raises JobError for a pair that is not shown."""
    from studio.evaluation.judge import ratings
    from studio.runs import report_page

    shown = next((item for item in pairs_to_rate(run)[0] if item.key == key), None)
    if shown is None or choice not in ("A", "B", "tie"):
        raise JobError("there is no such pair", hint="Open the page again.", where=key[:40])
    ratings.Rating(key=key, winner=shown.winner(choice), at=time.time()).append(run.folder.ratings)
    report_page.write(run.folder, run.report)


def _settings(
    by: str,
    rubric: str,
    mode: Literal["pairwise", "pointwise"],
    most: int,
    key: str | None,
    price: tuple[float, float] | None,
    ceiling: float | None,
) -> Judge:
    from studio.evaluation.judge.settings import Judge

    return Judge(
        model=by, rubric=rubric or "builtin", mode=mode, most=most, ceiling=ceiling, key=key,
        price_in=price[0] if price else None, price_out=price[1] if price else None,
    )  # fmt: skip


def _answered(run: Run) -> SetReport:
    report = run.report if run.folder.report.exists() else None
    found = report.unseen if report is not None else None
    if found is None or not found.answers:
        raise JobError("this run has no held-out answers", hint="Evaluate it with data.holdout set.", where=run.id)
    return found
