"""A judge compares an export's answers with those of base + adapter, where the run's evidence used one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from studio.core.errors import JobError
from studio.evaluation.judge import asking, conversion, questions
from studio.evaluation.judge.questions import Pair
from studio.evaluation.judge.report import JudgeReport
from studio.evaluation.judge.settings import Judge
from studio.evaluation.report import Report
from studio.export.artifacts.manifest import Artifact
from studio.export.make import written_again
from studio.export.merging.source import Source
from studio.runs import judging, local_server, report_page, served_models
from studio.runs.folder import RunFolder
from studio.tracking.reporter import Reporter


def judge(
    folder: RunFolder,
    source: Source,
    artifact: Artifact,
    settings: Judge,
    home: Path,
    serve: Callable[[str], contextlib.AbstractContextManager[local_server.Local]],
    *,
    ledger: Path | None = None,
    confirm: Callable[[float], bool] = lambda worst: True,
    tell: Callable[[int, int, str], None] = lambda done, total, what: None,
    stop: Callable[[], bool] = lambda: False,
) -> Artifact:
    """The export with a judge's verdicts on those of its answers that differ from base + adapter's, in manifest and card.

    As `judging.judge` otherwise. Raises JobError for an export that was asked no rows.
    """
    cost, report = artifact.verification.evidence, Report.read(folder.report) if folder.report.exists() else None
    unseen = report.unseen if report else None
    if cost is None or not cost.answers or report is None or unseen is None:
        raise JobError(
            "this export has no answers to be judged", hint="Export it again: studio export RUN.", where=artifact.folder
        )
    rubric = questions.read_rubric(settings.rubric_file)
    rows = [unseen.answers[place] for place in cost.indices]
    pairs = [
        Pair(row.question, row.reference, before, now)
        for row, before, now in zip(rows, cost.tuned_answers, cost.answers, strict=True)
    ]
    differ = [index for index, pair in enumerate(pairs) if pair.base != pair.tuned]
    asked = differ[: settings.most]
    if asked:
        with judging.opened(settings, home, serve, ledger) as client:
            wanted = [pairs[index] for index in asked]
            judging.confirmed(confirm, asking.worst_cost(client, asking.requests(wanted, rubric, "pairwise")), artifact.folder)
            found = asking.judge(client, wanted, asked, rubric, "pairwise", artifact.folder, tell, stop)
    else:
        found = JudgeReport(judge=settings.model, rubric=rubric, set=artifact.folder)
    named = served_models.lasting_name(settings.model, home)
    verdicts = conversion.on_export(
        found.model_copy(update={"judge": named}), len(pairs) - len(differ), _doubts(folder, report, named) if asked else ()
    )
    return written_again(source, artifact.with_values(verification=replace(artifact.verification, judged=verdicts)))


def ask(folder: RunFolder, source: Source, artifact: Artifact, settings: Judge, home: Path, reporter: Reporter) -> Artifact:
    """The export, judged by the judge that the run's spec names. One that cannot be asked costs no export. Raises Stopped."""
    cost = artifact.verification.evidence
    if not settings.on or cost is None or not cost.answers or artifact.verification.judged is not None:
        return artifact
    judged = judging.or_warned(
        lambda: judge(
            folder, source, artifact, settings, home, lambda name: local_server.served(served_models.locate(name, home)),
            ledger=folder.judge_ledger, tell=reporter.progress, stop=reporter.should_stop,
        ),
        reporter, f"studio judge {folder.id}:{artifact.folder} --by {settings.model}",
    )  # fmt: skip
    return judged or artifact


def _doubts(folder: RunFolder, report: Report, judge: str) -> tuple[str, ...]:
    """Why a judge is not to be believed, by what people thought of its verdicts on the run."""
    known = report_page.opinion_on(folder, report)
    if known is None or known.report is None or known.report.judge != judge:
        return (conversion.UNRATED,)
    return () if known.decides else (known.doubts or (conversion.UNRATED,))
