"""The comparison as one page: a picture, a table, and the answers behind each figure. Its body is the browser page's."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from statistics import fmean

import numpy as np
from markupsafe import Markup

from studio.comparison.record import AnswerRow, ComparedSystem, ComparisonRecord, Figure
from studio.core.html import Fragments
from studio.core.text import count, plural
from studio.evaluation.metrics import METRICS

SHOWN = 12
"""Questions whose answers are shown side by side."""
_html = Fragments("studio.comparison", "comparison.html")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def render(record: ComparisonRecord, rows: Sequence[AnswerRow], spec: str = "") -> str:
    """The page as a file, which needs nothing from elsewhere."""
    style = files("studio.evaluation").joinpath("page.css").read_text(encoding="utf-8")
    return str(_html("page", f"Comparison of {record.run}", Markup(style), _POLICY, body(record, rows, spec)))


def body(record: ComparisonRecord, rows: Sequence[AnswerRow], spec: str = "") -> Markup:
    """What the page says. spec: the comparison as YAML."""
    by_question: dict[int, list[AnswerRow]] = {}
    for row in rows:
        by_question.setdefault(row.question, []).append(row)
    differing = sorted(by_question.values(), key=lambda answers: -_spread(answers))[:SHOWN]
    bars = [(system.name, system.quality, percent(system.quality)) for system in record.ways]
    by_system = [(system, [row for row in rows if row.way == system.name]) for system in record.ways]
    parts = [
        _html("summary", record, sentences(record)),
        _html("picture", bars, METRICS[record.metric].label),
        _html("figures", record, columns(), table(record)),
        _html("reading", reading) if (reading := failures(record)) else "",
        _html("differing", differing),
        _html("rows", [(system.name, system.about, [_row(row) for row in own], _all(own)) for system, own in by_system if own]),
        _html("spec", spec) if spec else "",
    ]
    return Markup("").join(parts)


def sentences(record: ComparisonRecord) -> list[str]:
    """What to take home: the best configuration, and what the large model costs against one's own machine."""
    # a system that was given the right passage, or wrong ones, says where answers fail; nobody can serve it
    usable = [system for system in record.ways if not system.name.endswith((" passage", " passages"))]
    best = max(usable, key=lambda system: system.quality.value)
    against = f", {percent(best.change, sign=True)} against base" if best.change is not None else ""
    found = [f"Highest quality: {best.name}, {percent(best.quality)}{against}"]
    for system in usable:
        if system.break_even is not None:
            found.append(
                f"Your own machine is cheaper than {system.name} from {count(system.break_even)} questions a month on; at "
                f"{count(record.volume)} the API costs {system.per_month:,.2f} USD a month and the machine {record.server:,.2f}"
            )
    return found


def failures(record: ComparisonRecord) -> list[str]:
    """Whether retrieval or reading fails, from what was found, and from the right and the wrong passages."""
    ways = {system.name: system for system in record.ways}
    found = []
    if record.found_by_retrieval is not None:
        known = record.found_by_retrieval
        found.append(
            f"Retrieval found the right passage for {percent(known)} of the {known.rows} questions whose passage is known"
        )
    for name, system in ways.items():
        reader, _, what = name.rpartition(" + ")
        usual = ways.get(f"{reader} + retrieval")
        if system.known is None or what not in ("right passage", "wrong passages"):
            continue
        if what == "right passage":
            gap = f"; with what retrieval finds, {percent(usual.known)}" if usual is not None else ""
            found.append(f"With the right passage, {reader} answers {percent(system.known)} of these questions{gap}")
        elif system.refused_wrongly is not None:
            found.append(
                f"With wrong passages it should refuse; it refuses {percent(system.refused_wrongly)} of them, and still scores "
                f"{percent(system.known)}"
            )
    return found


def columns() -> tuple[str, ...]:
    """The columns of the table."""
    return (
        "configuration", "quality", "against base", "right refusals", "wrong refusals", "grounded", "tokens in + out",
        "p50 / p95 s", "USD per 1,000", "USD per month", "break-even per month",
    )  # fmt: skip


def table(record: ComparisonRecord) -> list[tuple[str, ...]]:
    """The table, a row a system."""
    return [_cells(system) for system in record.ways]


def _cells(system: ComparedSystem) -> tuple[str, ...]:
    return (
        system.name,
        percent(system.quality),
        percent(system.change, sign=True),
        percent(system.refused_rightly),
        percent(system.refused_wrongly),
        percent(system.grounded),
        f"{system.prompt_tokens:.0f} + {system.answer_tokens:.0f}",
        f"{system.p50:.2f} / {system.p95:.2f}",
        f"{system.per_thousand:.2f}",
        f"{system.per_month:,.2f}",
        count(system.break_even) if system.break_even is not None else "–",
    )


def _row(row: AnswerRow) -> tuple[str, ...]:
    rank = next((at for at, passage in enumerate(row.passages, 1) if passage in row.gold), None)
    right = "–" if not row.passages or not row.gold else f"{rank} of {len(row.passages)}" if rank else "missing"
    return (
        row.text,
        row.reference or "no answer in the documents",
        row.error or row.answer,
        f"{100 * row.quality:.0f} %",
        ("rightly" if not row.answerable else "wrongly") if row.refused else "no",
        "–" if row.grounded is None else f"{100 * row.grounded:.0f} %",
        right,
        f"{row.prompt_tokens} + {row.answer_tokens}",
        f"{row.seconds:.2f}",
        f"{row.cost:.6f}",
    )


def _all(rows: Sequence[AnswerRow]) -> tuple[str, ...]:
    """The last line of a configuration's answers, which the figures of the table are."""
    grounded = [row.grounded for row in rows if row.grounded is not None]
    rightly = sum(row.refused for row in rows if not row.answerable)
    wrongly = sum(row.refused for row in rows if row.answerable)
    answerable = sum(row.answerable for row in rows)
    known = [row for row in rows if row.passages and row.gold]
    seconds = sorted(row.seconds for row in rows if not row.error) or [0.0]
    billed = sum(row.cost for row in rows)
    right = f": {100 * fmean(row.quality for row in rows if row.answerable):.0f} %" if answerable else ""
    return (
        f"{answerable} answerable{right}",
        plural(sum(bool(row.error) for row in rows), "error"),
        f"{100 * fmean(row.quality for row in rows):.0f} %",
        f"{rightly} of {len(rows) - answerable} rightly, {wrongly} of {answerable} wrongly",
        f"{100 * fmean(grounded):.0f} %" if grounded else "–",
        f"{sum(bool(set(row.passages) & set(row.gold)) for row in known)} of {len(known)}" if known else "–",
        f"{fmean(row.prompt_tokens for row in rows):.0f} + {fmean(row.answer_tokens for row in rows):.0f}",
        f"p50 {np.percentile(seconds, 50):.2f}, p95 {np.percentile(seconds, 95):.2f}",
        f"{billed:.6f} in all, {1_000 * billed / len(rows):.2f} per 1,000",
    )


def percent(figure: Figure | None, sign: bool = False) -> str:
    """A share and its interval in per cent, a difference of two in points; a dash for none."""
    if figure is None:
        return "–"
    plus, unit = ("+" if sign and figure.value > 0 else ""), ("points" if sign else "%")
    if figure.low is None or figure.high is None:
        return f"{plus}{100 * figure.value:.0f} {unit}"
    return f"{plus}{100 * figure.value:.0f} {unit} [{100 * figure.low:.0f}, {100 * figure.high:.0f}]"


def _spread(answers: Sequence[AnswerRow]) -> float:
    return max(row.quality for row in answers) - min(row.quality for row in answers)
