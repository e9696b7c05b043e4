"""How results look in a notebook: the fragments the web studio shows, in the notebook's own colours.

`install` tells IPython which type is shown by which function; the types themselves know nothing of HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from studio.core import events
from studio.core.errors import DAMAGED
from studio.core.html import Fragments
from studio.core.text import duration, plural

if TYPE_CHECKING:
    from studio.app.comparison import Comparison
    from studio.app.datasets import Preview
    from studio.app.notebook import Run
    from studio.app.run_summary import RunSummary
    from studio.comparison.record import ComparisonRecord
    from studio.data.findings import Finding
    from studio.data.report import DataReport
    from studio.evaluation.report import Report
    from studio.export.artifacts.manifest import Artifact
    from studio.planner.plan import Plan

WARNINGS = 3
"""The latest warnings, which are shown while a run goes on."""
_html = Fragments("studio.app", "notebook.html")


def output(*fragments: object) -> str:
    """Fragments as one output of a notebook cell."""
    from studio.app.fragments.parts import joined

    return str(_html("output", joined(*fragments)))


def plan(plan: Plan) -> str:
    """A plan: the model, whether it fits, memory, time, decisions with reasons."""
    from studio.app.fragments import parts
    from studio.app.fragments import plan as show

    return output(parts.section(f"{plan.spec.name}: {plan.spec.model.name}"), show.card(plan.record()))


def data_report(report: DataReport) -> str:
    """What was found in data: whether it can be used, how it was read, what is wrong with it, a few rows."""
    from studio.app.fragments import data as show

    read = show.detected(report, {})
    return output(show.head(report), read, show.findings(report), show.lengths(report), show.samples(report, most=2))


def findings(findings: Sequence[Finding]) -> str:
    """What the checks of the content found."""
    from studio.app.fragments import data as show
    from studio.app.fragments import parts

    return output(*(map(show.finding, findings) if findings else [parts.note("No check found anything.")]))


def previews(items: Sequence[Preview]) -> str:
    """Rows token by token, the trained ones marked."""
    from studio.app.fragments import data as show

    return output(show.tokens([item.record() for item in items]))


def report(evidence: Report) -> str:
    """The evidence: the verdict, every figure with its interval, the answers that changed most."""
    from studio.app.fragments import evidence as show
    from studio.app.fragments import parts
    from studio.evaluation.metrics import METRICS

    answers = show.answers(evidence.sets[0], "changed", most=3) if evidence.sets and evidence.sets[0].answers else ""
    title = parts.section("Answers that changed most") if answers else ""
    return output(show.verdict(evidence), show.before_and_after(evidence, METRICS), title, answers)


def artifact(artifact: Artifact) -> str:
    """One export: size, verification, how to serve it."""
    from studio.app.fragments import exports as show

    return output(show.artifact("", artifact, []))


def comparison(comparison: Comparison) -> str:
    """Runs side by side: settings that differ, results."""
    from studio.app.fragments import compare as show

    names = [run.id for run in comparison.runs]
    return output(show.settings(comparison.settings, names), show.results(comparison.summaries, comparison.evidence, names))


def answer_comparison(record: ComparisonRecord) -> str:
    """Base, tuned, retrieval and a large model on the same questions: a row each."""
    from studio.app import answer_comparison as comparing
    from studio.app.fragments import parts

    found = record.found_by_retrieval
    without = f", {record.unanswerable} of them not answerable" if record.unanswerable else ""
    asked = plural(record.questions, "question") + without
    searched = f"; search found the right passage for {found.value:.0%}" if found else ""
    rows, columns = comparing.table(record), comparing.columns()
    return output(parts.table(columns, rows, "Comparison", range(1, len(columns))), parts.note(f"{asked}{searched}."))


def run(shown: Run) -> str:
    """A run: state, progress or verdict, the loss, figures, exports, where it lies."""
    from studio.app.fragments import evidence as show
    from studio.app.fragments import parts

    summary = shown.summary()
    body: list[object] = [head(shown, summary)]
    if summary.error:
        body.append(parts.notice(summary.error.message, summary.error.hint, "bad", summary.error.where))
    try:
        body.append(loss_chart([(line["step"], line["loss"]) for line in shown.metrics if "loss" in line]))
        if shown.folder.report.exists():
            from studio.evaluation.metrics import METRICS

            body += [show.verdict(shown.report), show.before_and_after(shown.report, METRICS)]
        if shown.artifacts:
            body += [parts.section("Exports"), *(parts.note(str(made)) for made in shown.artifacts)]
    except DAMAGED:
        pass  # the summary says which file is damaged
    return output(*body, parts.note(summary.folder))


def head(shown: Run, summary: RunSummary) -> Markup:
    """Id and state of a run, its model first."""
    from studio.app.fragments import parts

    took = duration(summary.seconds) if summary.seconds else ""
    words = " · ".join(filter(None, (summary.model and f"base model {summary.model}", summary.data, took)))
    return _html("run_head", shown.id, parts.state(summary.state), words, tracked_at(shown))


def tracked_at(shown: Run) -> str:
    """The page of a run at its tracker; empty if it is tracked offline or not at all."""
    pages = [event.url for event in shown.folder.read_events() if isinstance(event, events.Tracking) and event.mode == "online"]
    return pages[-1] if pages and pages[-1].startswith(("https://", "http://")) else ""


def progress(shown: Run, losses: Sequence[tuple[float, float]]) -> str:
    """A run under way: stage, how far, how long still, the loss so far."""
    from studio.app.fragments import parts
    from studio.app.run_updates import how_far

    status, summary = shown.status, shown.summary()
    left = shown.seconds_left
    words = [how_far(status)]
    words += [f"loss {losses[-1][1]:.3f}"] if losses and status.state == "training" else []
    words += [f"{duration(left[0])} to {duration(left[1])} left"] if left else []
    share = min(1.0, status.done / status.total) if status.total else None
    bar = _html("progress", share, " · ".join(filter(None, words))) if status.active else ""
    warnings = [event for event in shown.folder.read_events() if isinstance(event, events.Warning)]
    notices = [parts.notice(event.message, event.hint, "warn") for event in warnings[-WARNINGS:]]
    return output(head(shown, summary), bar, loss_chart(losses), *notices)


def run_list(shown: Sequence[Run]) -> str:
    """Runs as a table, newest first."""
    from studio.app.fragments import parts

    if not shown:
        return output(parts.note("No runs yet: studio.train(spec) makes one."))
    rows = [item.summary() for item in shown[:50]]
    cells = [
        (
            row.id, parts.state(row.state), row.model, row.data, parts.number(row.held_out_loss),
            row.headline or "–", parts.when(row.created),
        )
        for row in rows
    ]  # fmt: skip
    columns = ("Run", "State", "Model", "Data", "Held-out loss", "Verdict", "Started")
    more = parts.note(f"and {plural(len(shown) - 50, 'older run')}") if len(shown) > 50 else ""
    return output(parts.table(columns, cells, "Runs", (4,)), more)


def loss_chart(points: Sequence[tuple[float, float]]) -> Markup:
    """The training loss by step; nothing for fewer than two points."""
    from studio.core.charts import Series, line_chart

    return line_chart("Training loss", [Series("training loss", list(points), smooth=True)]) if len(points) > 1 else Markup("")


SHOWN: dict[tuple[str, str], Callable[[Any], str]] = {
    ("studio.planner.plan", "Plan"): plan,
    ("studio.data.report", "DataReport"): data_report,
    ("studio.evaluation.report", "Report"): report,
    ("studio.export.artifacts.manifest", "Artifact"): artifact,
    ("studio.comparison.record", "ComparisonRecord"): answer_comparison,
}
"""The types that are shown as HTML, by module and name: none is imported before one is shown."""


def install(shell: Any) -> None:
    """Tell an IPython shell how results are shown."""
    formatter = shell.display_formatter.formatters["text/html"]
    for (module, name), show in SHOWN.items():
        formatter.for_type_by_name(module, name, show)
