"""The evidence of a run as a page, with what a judge and people found."""

from __future__ import annotations

from studio.core.errors import DAMAGED
from studio.core.files import write_text
from studio.data.desk_report import DeskReport
from studio.data.report import DataReport
from studio.evaluation import page
from studio.evaluation.judge.opinion import Opinion, opinion
from studio.evaluation.report import Report
from studio.evaluation.standard import StandardReport
from studio.runs.folder import RunFolder
from studio.runs.plan import PlanRecord
from studio.runs.records import origins_in


def write(folder: RunFolder, report: Report) -> None:
    """Write `evaluation/report.html`."""
    checked = DeskReport.read(folder.findings) if folder.findings.exists() else None
    spec = folder.spec_file if folder.spec_file.exists() else folder.asked
    html = page.render_html(
        report, list(folder.read_metrics()), spec.read_text("utf-8"), folder.spec().name, checked,
        (*_reading(folder), *origins_in(folder.lock)), judged=opinion_on(folder, report),
        standard=StandardReport.read(folder.standard) if folder.standard.exists() else None,
        warnings=_warnings(folder),
    )  # fmt: skip
    write_text(folder.report_page, html)


def _reading(folder: RunFolder) -> tuple[str, ...]:
    """What became of the rows when they were read, and what a person should look at; none where that cannot be read."""
    try:
        report = DataReport.read(folder.data / "report.json")
    except DAMAGED:
        return ()
    return (f"{report.counts}.", *(f"{warning[:1].upper()}{warning[1:]}." for warning in report.warnings))


def _warnings(folder: RunFolder) -> tuple[str, ...]:
    """Of the plan; none where it cannot be read, for the evidence stands without it."""
    try:
        return PlanRecord.read(folder.plan).warnings
    except DAMAGED:
        return ()


def opinion_on(folder: RunFolder, report: Report) -> Opinion | None:
    """What a judge and people found; None before either was asked, and for a run without answers."""
    found = report.unseen
    if found is None or not found.answers or not (folder.judge.exists() or folder.ratings.exists()):
        return None
    return opinion(found.answers, folder.judge, folder.ratings)
