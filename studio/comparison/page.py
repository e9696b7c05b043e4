"""The comparison as one page: a picture, a table, and answers side by side."""

from __future__ import annotations

from collections.abc import Sequence

from studio.comparison.record import AnswerRow, ComparisonRecord, Figure, Way
from studio.core.html import render
from studio.core.text import count

SHOWN = 12
"""Questions whose answers are shown side by side."""


def page(record: ComparisonRecord, rows: Sequence[AnswerRow]) -> str:
    """The page, which needs nothing from elsewhere."""
    by_question: dict[int, list[AnswerRow]] = {}
    for row in rows:
        by_question.setdefault(row.question, []).append(row)
    shown = sorted(by_question.values(), key=lambda answers: -_spread(answers))[:SHOWN]
    bars = [(way.name, way.quality, _percent(way.quality)) for way in record.ways]
    return render(
        "studio.comparison",
        "comparison.html",
        record=record,
        bars=bars,
        head=columns(),
        rows=list(table(record)),
        answers=shown,
    )


def columns() -> tuple[str, ...]:
    """The columns of the table."""
    return (
        "configuration", "quality", "against base", "right refusals", "wrong refusals", "grounded", "tokens in + out",
        "p50 / p95 s", "USD per 1,000", "USD per month", "break-even per month",
    )  # fmt: skip


def table(record: ComparisonRecord) -> list[tuple[str, ...]]:
    """The table, a row a way."""
    return [_cells(way) for way in record.ways]


def _cells(way: Way) -> tuple[str, ...]:
    return (
        way.name,
        _percent(way.quality),
        _percent(way.change, sign=True),
        _percent(way.refused_rightly),
        _percent(way.refused_wrongly),
        _percent(way.grounded),
        f"{way.prompt_tokens:.0f} + {way.answer_tokens:.0f}",
        f"{way.p50:.2f} / {way.p95:.2f}",
        f"{way.per_thousand:.2f}",
        f"{way.per_month:,.2f}",
        count(way.break_even) if way.break_even is not None else "–",
    )


def _percent(figure: Figure | None, sign: bool = False) -> str:
    if figure is None:
        return "–"
    plus = "+" if sign and figure.value > 0 else ""
    if figure.low is None or figure.high is None:
        return f"{plus}{100 * figure.value:.0f} %"
    return f"{plus}{100 * figure.value:.0f} % [{100 * figure.low:.0f}, {100 * figure.high:.0f}]"


def _spread(answers: Sequence[AnswerRow]) -> float:
    return max(row.quality for row in answers) - min(row.quality for row in answers)
