"""The report as one HTML file: no script, no request to anywhere, every text escaped. Its body is the browser page's, too."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from markupsafe import Markup

from studio.cascade.curve import Point
from studio.cascade.record import Cascade, CascadeReport
from studio.cascade.report import shares
from studio.core.charts import Series, line_chart
from studio.core.html import Fragments

_html = Fragments("studio.cascade", "report.html")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
NAMES = {"cascade": "cascade", "ideal": "ideal router", "random": "random router", "question": "router on the question alone"}


def render(cascade: Cascade, report: CascadeReport) -> str:
    """The page of a report."""
    style = files("studio.evaluation").joinpath("page.css").read_text(encoding="utf-8")
    return str(_html("page", f"Cascade {cascade.id}", Markup(style), _POLICY, body(cascade, report)))


def body(cascade: Cascade, report: CascadeReport) -> Markup:
    """What the page says."""
    badge = "Promise kept" if report.held else "Promise broken"
    rows = [("cascade", report.at_target), (f"small alone ({cascade.small})", report.small)]
    rows.append((f"large alone ({cascade.large.model})", report.large))
    promise = f"Promise: {cascade.calibration.promise}. Right means {cascade.right}."
    parts = [
        _html("promise", "good" if report.held else "bad", badge, f"{report.sentence}.", promise, report.warnings),
        _html("options", rows, shares(report)),
        pictures(report),
        signals(cascade),
        _html("errors", report.errors),
    ]
    return Markup("").join(parts)


def calibrated(cascade: Cascade) -> Markup:
    """What is known before a report: the promise on the calibration questions, and the signal."""
    found = cascade.calibration
    share, low, high = found.share_local
    sentence = f"{share:.0%} of the calibration questions stay local (95 % interval {low:.0%} to {high:.0%})."
    note = f"Promise: {found.promise}. Test it on new questions: studio cascade report {cascade.id} --held-out FILE."
    return _html("promise", "calm", "Not tested yet", sentence, note, cascade.warnings) + signals(cascade)


def signals(cascade: Cascade) -> Markup:
    """Which signal was chosen, and where its threshold lies."""
    found = cascade.calibration
    threshold = (
        f"An answer stays local if its {found.signal} is at least {found.threshold.value:.4f}."
        if found.threshold.useful
        else "Every question is escalated."
    )
    line = found.threshold
    return _html("signals", found.auroc, found.signal, threshold, line.local, line.wrong, line.rows, found.error)


def pictures(report: CascadeReport) -> Markup:
    """Quality, cost and latency over the share escalated, of the cascade and what it has to beat; and the confidence."""

    def alone(across: Callable[[Point], float], up: Callable[[Point], float]) -> list[Series]:
        models = (("small alone", report.small), ("large alone", report.large))
        lines = [
            Series(NAMES.get(item.router, item.router), [(across(point), up(point)) for point in item.points])
            for item in report.curves
        ]
        return [*lines, *(Series(name, [(across(point), up(point))], dots=True) for name, point in models)]

    sure = [(100 * confidence, 100 * share) for confidence, share, _ in report.reliability]
    charts = [
        line_chart("Right answers (%) over the share escalated", alone(_escalated, _quality), x_label="% escalated"),
        line_chart("Right answers (%) over US dollars per 1,000 questions", alone(_cost, _quality), x_label="USD per 1,000"),
        line_chart("p95 latency (s) over the share escalated", alone(_escalated, _p95), x_label="% escalated"),
        line_chart(
            f"Share right (%) over confidence (%), calibration error {report.error:.3f}",
            [Series("these questions", sure, dots=True), Series("perfect calibration", [(0, 0), (100, 100)])],
            x_label="% confidence",
        ),
    ]
    return _html("pictures", Markup("").join(charts))


def _escalated(point: Point) -> float:
    return 100 * point.escalated


def _quality(point: Point) -> float:
    return 100 * point.quality


def _cost(point: Point) -> float:
    return point.cost


def _p95(point: Point) -> float:
    return point.p95
