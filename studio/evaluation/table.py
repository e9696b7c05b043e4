"""The report as plain rows, for a terminal or a notebook."""

from __future__ import annotations

from studio.evaluation.metrics import METRICS
from studio.evaluation.report import Report

HEADER = ("Set", "Metric", "Base", "Tuned", "Change", "95 % interval")


def rows(report: Report) -> list[tuple[str, str, str, str, str, str]]:
    """(set, metric, base, tuned, change, interval of the change) for every figure; the headline's name has a star."""
    return [
        (
            item.name,
            METRICS[name].label + (" *" if name == item.headline else ""),
            METRICS[name].show(found.base.value),
            METRICS[name].show(found.tuned.value),
            METRICS[name].show_change(found.change.value),
            METRICS[name].show_interval(found.change, change=True),
        )
        for item in report.sets
        for name, found in item.metrics.items()
    ]
