"""What a conversion cost, in the sentence that badge, card and command show."""

from __future__ import annotations

from collections.abc import Mapping

from studio.core.text import count, plural
from studio.evaluation.cautions import DRIFT, SOFT
from studio.evaluation.general import NAME as GENERAL
from studio.evaluation.general import TEXT
from studio.evaluation.metrics import METRICS
from studio.evaluation.report import ALSO, CROSS_VALIDATED
from studio.export.verification.result import Figure

ROW_OF = {GENERAL: "general question", TEXT: "general text", CROSS_VALIDATED: "row"}
"""What a row is called, by the name of its set."""
LIKELIHOOD = ("loss", "perplexity")
"""Metrics of how likely a text is, which move though an answer is the same."""


def sentence(name: str, headline: str, figures: Mapping[str, Figure], same: int | None) -> str:
    """What the set `name` was before and is now. same: how many answers are, word for word, those of base + adapter; None where
    the rows are only read."""
    metric, figure = METRICS[headline], figures[headline]
    rows = plural(figure.change.rows, ROW_OF.get(name, "row" if name.startswith(ALSO) else "held-out row"))
    rows += f" of {name.removeprefix(ALSO)}" if name.startswith(ALSO) else ""
    rows += " that were trained on" if name == CROSS_VALIDATED else ""
    said = f"{metric.label} on {rows}: {metric.show(figure.tuned)} with base + adapter, {metric.show(figure.artifact)} here"
    lost = [other for other in forgotten(headline, figures) if other != headline] if name == GENERAL else []
    also = "".join(f"; {METRICS[other].label} {_moved(other, figures[other])}" for other in lost)
    return f"{said} ({_compared(headline, figure, same)}){also}"


def change(name: str, figure: Figure, identical: bool) -> str:
    """How a metric moved. identical: every answer is the same, so that what is read from the answers cannot have moved."""
    metric, moved = METRICS[name], figure.change
    if identical and moved.value == 0 and name not in LIKELIHOOD:
        return "identical answers"
    return f"{metric.show_change(moved.value)}, {metric.show_interval(moved, change=True)}"


def forgotten(headline: str, figures: Mapping[str, Figure]) -> list[str]:
    """The metrics by which an artifact surely knows less than base + adapter, by the rules of the run's own verdict. Rounding
    makes every text a little less likely: the loss counts beyond what counts as drift."""
    lost = [
        name for name in dict.fromkeys((headline, *SOFT))
        if name in figures and name not in LIKELIHOOD and METRICS[name].lost(figures[name].change)
    ]  # fmt: skip
    loss = figures["loss"].change.low if "loss" in figures else None
    return [*lost, *(["loss"] if loss is not None and loss > DRIFT else [])]


def _compared(headline: str, figure: Figure, same: int | None) -> str:
    """The change with its interval; where every answer is the same there is none, and that is said."""
    metric, rows = METRICS[headline], figure.change.rows
    if same == rows and headline not in LIKELIHOOD:
        return "the answer is identical" if rows == 1 else f"all {count(rows)} answers are identical"
    moved = f"{metric.show_change(figure.change.value)}, 95 % interval {metric.show_interval(figure.change, change=True)}"
    return moved if same is None else f"{moved}; {count(same)} of {plural(rows, 'answer')} identical"


def _moved(name: str, figure: Figure) -> str:
    return f"{METRICS[name].show(figure.tuned)} -> {METRICS[name].show(figure.artifact)}"
