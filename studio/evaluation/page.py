"""The report as one HTML file: no script, no request to anywhere, light and dark, phone to desk. Its template escapes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from markupsafe import Markup

from studio.core.html import Fragments
from studio.core.text import duration, plural
from studio.data.desk_report import DeskReport
from studio.evaluation.general import NAME as GENERAL
from studio.evaluation.general import TEXT
from studio.evaluation.interval import Estimate
from studio.evaluation.judge.opinion import Opinion
from studio.evaluation.metrics import METRICS, Metric
from studio.evaluation.page_curves import curves
from studio.evaluation.report import Answered, Compared, ModelAnswer, Report, SetReport, Verdict
from studio.evaluation.standard import StandardReport

_TONE = {"better": "good", "worse": "bad", "better but forgets": "bad"}

_LISTS = (
    ("changed", "Most changed", "the largest difference between base and tuned, either way"),
    ("worst", "Worst", "the lowest scores of the tuned model"),
    ("best", "Best", "the highest scores of the tuned model"),
)
_html = Fragments("studio.evaluation", "evidence.html")
Bar = tuple[str, float, float, float]
"""Side, and in percent of the width: the value, the lower end of its interval, the interval's width."""
Pair = tuple[str, Bar | None, str]
Piece = tuple[Literal["", "ins", "del"], str]


def render_html(
    report: Report,
    metrics: Sequence[Mapping[str, float]],
    spec_yaml: str,
    title: str,
    checked: DeskReport | None = None,
    origins: Sequence[str] = (),
    *,
    judged: Opinion | None = None,
    standard: StandardReport | None = None,
    warnings: Sequence[str] = (),
) -> str:
    """The page. metrics: the lines of metrics.jsonl; spec_yaml: the resolved spec; title: the run's name; checked: what was
    found in the rows it was trained on; origins: where rows come from that a model wrote or people corrected; judged: what a
    judge and people found; standard: standard benchmarks; warnings: of the plan, as of what the chat template does to rows."""
    style = files("studio.evaluation").joinpath("page.css").read_text(encoding="utf-8")
    tiles = _tiles(report)
    used = {name for item in report.sets for name in item.metrics}
    parts = [
        _verdict(report.verdict, title),
        _html("tiles", tiles) if tiles else "",
        _html("heading", "figures", "Figures"),
        *(_figures(item) for item in report.sets),
        _html("judged", judged) if judged else "",
        _html("standard", standard) if standard else "",
        _html("charts", drawn) if any(drawn := curves(metrics)) else "",
        _html("heading", "answers", "Answers side by side") if any(item.answers for item in report.sets) else "",
        *(_answers(item, first=item is report.sets[0]) for item in report.sets if item.answers),
        _html("data", checked, origins) if checked or origins else "",
        _html("spec", spec_yaml, warnings),
        _html("reading", report, [metric for metric in METRICS.values() if metric.name in used]),
    ]
    return f"{_html('page', title, report.verdict.kind, Markup(style), parts)}\n"


def _verdict(verdict: Verdict, title: str) -> Markup:
    sentences = [part[:1].upper() + part[1:] for part in verdict.text.split("; ")]
    return _html("verdict", verdict, sentences, title, "" if verdict.only_wording else _TONE.get(verdict.kind, ""))


def _tiles(report: Report) -> list[tuple[str, list[Pair]]]:
    """The figures a reader looks for first, base over tuned, each bar with its interval."""
    tiles = [
        (f"{METRICS[item.headline].label} · {item.label}", _pairs(item.headline, item, item.before)) for item in report.sets
    ]
    main = next((item for item in report.sets if item.name not in (GENERAL, TEXT)), None)
    if main:
        names = [name for name in ("loss", "stop_rate") if name in main.metrics and name != main.headline]
        tiles += [(f"{METRICS[name].label} · {main.label}", _pairs(name, main)) for name in names]
    if report.speed:
        alone: list[Pair] = [(side, None, duration(speed.latency)) for side, speed in report.speed.items()]
        tiles.append(("One answer alone takes", alone))
    return tiles


def _pairs(name: str, item: SetReport, before: str = "base") -> list[Pair]:
    metric, figure = METRICS[name], item.metrics[name]
    largest = max(figure.base.high or 0, figure.tuned.high or 0, figure.base.value, 1e-9)
    top = 1.0 if metric.unit == "share" else largest
    sides = ((before, "base", figure.base), ("tuned", "tuned", figure.tuned))
    return [(label, _bar(side, value, top), metric.show(value.value)) for label, side, value in sides]


def _bar(side: str, figure: Estimate, top: float) -> Bar:
    ends = (figure.value if end is None else end for end in (figure.low, figure.high))
    value, low, high = (max(0.0, min(100.0, 100 * end / top)) for end in (figure.value, *ends))
    return side, value, low, high - low


@dataclass(frozen=True)
class _Row:
    """A metric in the table of a set, its change drawn with its interval around zero."""

    label: str
    base: str
    tuned: str
    change: str
    interval: str
    tone: str
    word: str
    first: bool
    low: float
    """In percent of the track's width, like `middle` and `high`."""
    middle: float
    high: float


def _figures(item: SetReport) -> Markup:
    """All figures of one set."""
    widest = max((_reach(found.change) for name, found in item.metrics.items() if METRICS[name].unit == "share"), default=1.0)
    rows = [_row(METRICS[name], found, name == item.headline, widest) for name, found in item.metrics.items()]
    return _html("figures", item, METRICS[item.headline].label, rows)


def _row(metric: Metric, figure: Compared, first: bool, widest: float) -> _Row:
    change = figure.change
    tone = "good" if metric.gained(change) else "bad" if metric.lost(change) else ""
    word = {"good": "▲ better", "bad": "▼ worse"}.get(tone, "" if metric.better == "neither" else "unclear")
    scale = widest if metric.unit == "share" else _reach(change)
    ends = (change.value if end is None else end for end in (change.low, change.high))
    low, high, middle = (50 + 48 * max(-1.0, min(1.0, value / scale)) for value in (*ends, change.value))
    return _Row(
        metric.label, metric.show(figure.base.value), metric.show(figure.tuned.value), metric.show_change(change.value),
        metric.show_interval(change, change=True), tone, word, first, low, middle, high,
    )  # fmt: skip


def _reach(change: Estimate) -> float:
    return max(abs(change.low or 0), abs(change.high or 0), abs(change.value), 1e-9)


def _answers(item: SetReport, first: bool) -> Markup | str:
    listed: list[tuple[str, str, str, list[int]]] = [(*names, getattr(item, names[0])) for names in _LISTS]
    groups = [
        (name, label, meaning, [_sample(item.answers[index]) for index in indices])
        for name, label, meaning, indices in listed
        if indices
    ]
    return _html("answers", item, groups, first) if groups else ""


def _sample(row: Answered) -> tuple[Answered, str, list[tuple[str, list[Piece], str]]]:
    where = f"{row.file}:{row.line}" if row.file else ""
    earlier = f"after {plural(row.earlier, 'earlier message')}" if row.earlier else ""
    origin = " · ".join(part for part in (where, earlier) if part)
    sides = (("base", row.base), ("tuned", row.tuned))
    return row, origin, [(side, list(marked(row.reference, given.text)), _scores(given)) for side, given in sides]


def _scores(answer: ModelAnswer) -> str:
    scores = answer.scores
    words = [
        "exact" if scores["exact_match"] else f"ROUGE-L {METRICS['rouge_l'].show(scores['rouge_l'])}",
        f"loss {METRICS['loss'].show(scores['loss'])}",
        plural(answer.tokens, "token"),
        *([] if answer.stopped else ["did not stop"]),
    ]
    return " · ".join(words)


def marked(reference: str, answer: str) -> Iterator[Piece]:
    """The answer word by word: what the reference does not have as `ins`, what it has beyond as `del`."""
    wanted, given = (re.findall(r"(?:\w+|[^\w\s])\s*", text.lstrip()) for text in (reference, answer))
    if len(wanted) + len(given) > 4000:  # difflib is quadratic
        yield "", answer
        return
    bare = [[word.rstrip() for word in side] for side in (wanted, given)]
    for kind, from_, to, start, end in difflib.SequenceMatcher(None, *bare, autojunk=False).get_opcodes():
        missing, added = "".join(wanted[from_:to]), "".join(given[start:end])
        if kind == "equal":
            yield "", added
            continue
        yield from _mark("del", missing)
        if missing and added and not missing[-1].isspace():
            yield "", " "
        yield from _mark("ins", added)


def _mark(tag: Literal["ins", "del"], text: str) -> Iterator[Piece]:
    """The text in its tag, with the white space after it outside."""
    bare = text.rstrip()
    if bare:
        yield tag, bare
        yield "", text[len(bare) :]
