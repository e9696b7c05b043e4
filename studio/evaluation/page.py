"""The report as one HTML file: no script, no request to anywhere, every text escaped, light and dark, phone to desk."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from studio.core.text import count, duration, plural, shorten
from studio.data.desk_report import DeskReport
from studio.evaluation.general import NAME as GENERAL
from studio.evaluation.general import TEXT
from studio.evaluation.interval import Estimate
from studio.evaluation.judge.opinion import Opinion
from studio.evaluation.metrics import METRICS, Metric
from studio.evaluation.page_curves import curves
from studio.evaluation.report import Answered, Compared, Given, Report, SetReport, Verdict
from studio.evaluation.tasks.labels import Confusion

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Even if a text were to slip through unescaped, a browser would run and fetch nothing."""

_TONE = {"better": "good", "worse": "bad", "better but forgets": "bad"}

_LISTS = (
    ("changed", "Most changed", "the largest difference between base and tuned, either way"),
    ("worst", "Worst", "the lowest scores of the tuned model"),
    ("best", "Best", "the highest scores of the tuned model"),
)


def render_html(
    report: Report,
    metrics: list[dict[str, Any]],
    spec_yaml: str,
    title: str,
    checked: DeskReport | None = None,
    origins: Sequence[str] = (),
    *,
    judged: Opinion | None = None,
) -> str:
    """The page. metrics: the lines of metrics.jsonl; spec_yaml: the resolved spec; title: the run's name; checked: what was
    found in the rows it was trained on; origins: where rows come from that a model wrote or people corrected; judged: what a
    judge and people found."""
    style = files("studio.evaluation").joinpath("page.css").read_text(encoding="utf-8")
    parts = [
        _verdict(report.verdict, title),
        _tiles(report),
        '<h2 id="figures">Figures</h2>',
        *(_figures(item) for item in report.sets),
        _judged(judged) if judged else "",
        curves(metrics),
        '<h2 id="answers">Answers side by side</h2>' if any(item.answers for item in report.sets) else "",
        *(_samples(item, first=item is report.sets[0]) for item in report.sets if item.answers),
        _data(checked, origins) if checked or origins else "",
        _spec(spec_yaml),
        _reading(report),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}: {escape(report.verdict.kind)}</title><style>{style}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _verdict(verdict: Verdict, title: str) -> str:
    sentences = "".join(f"<span>{escape(part[:1].upper() + part[1:])}</span>" for part in verdict.text.split("; "))
    cautions = "".join(f"<li>{escape(caution)}.</li>" for caution in verdict.cautions)
    return (
        f'<header><h1>{escape(title)} · base against tuned</h1></header><section class="card verdict" aria-label="Verdict">'
        f'<span class="badge {_TONE.get(verdict.kind, "")}">{escape(verdict.kind.capitalize())}</span>'
        f'<p class="say">{sentences}</p><p class="soft">{escape(verdict.advice)}</p>'
        f"{f'<ul>{cautions}</ul>' if cautions else ''}</section>"
    )


def _tiles(report: Report) -> str:
    """The figures a reader looks for first, base over tuned, each bar with its interval."""
    tiles = []
    for item in report.sets:
        tiles.append(
            _tile(
                f"{METRICS[item.headline].label} · {item.label}",
                METRICS[item.headline],
                item.metrics[item.headline],
                item.before,
            )
        )
    main = next((item for item in report.sets if item.name not in (GENERAL, TEXT)), None)
    if main:
        names = [name for name in ("loss", "stop_rate") if name in main.metrics and name != main.headline]
        tiles += [_tile(f"{METRICS[name].label} · {main.label}", METRICS[name], main.metrics[name]) for name in names]
    if report.speed:
        rows = "".join(_pair(side, "", duration(speed.latency)) for side, speed in report.speed.items())
        tiles.append(f'<div class="tile"><h3>One answer alone takes</h3><div class="pair">{rows}</div></div>')
    return f'<section class="tiles" aria-label="At a glance">{"".join(tiles)}</section>' if tiles else ""


def _tile(label: str, metric: Metric, found: Compared, before: str = "base") -> str:
    top = 1.0 if metric.unit == "share" else max(found.base.high or 0, found.tuned.high or 0, found.base.value, 1e-9)
    rows = "".join(
        _pair(name, _bar(side, value, top), metric.show(value.value))
        for name, side, value in ((before, "base", found.base), ("tuned", "tuned", found.tuned))
    )
    return f'<div class="tile"><h3>{escape(label)}</h3><div class="pair">{rows}</div></div>'


def _pair(side: str, bar: str, value: str) -> str:
    return f"<span>{side.capitalize()}</span>{bar or '<span></span>'}<b>{escape(value)}</b>"


def _bar(side: str, found: Estimate, top: float) -> str:
    low, high = (found.value if end is None else end for end in (found.low, found.high))
    spans = [max(0.0, min(100.0, 100 * end / top)) for end in (found.value, low, high)]
    return (
        f'<span class="bar {side}" aria-hidden="true"><i style="width:{spans[0]:.1f}%"></i>'
        f'<u style="left:{spans[1]:.1f}%;width:{spans[2] - spans[1]:.1f}%"></u></span>'
    )


def _figures(item: SetReport) -> str:
    """All figures of one set, the change drawn with its interval around zero."""
    widest = max((_reach(found.change) for name, found in item.metrics.items() if METRICS[name].unit == "share"), default=1.0)
    rows = "".join(_figure(METRICS[name], found, name == item.headline, widest) for name, found in item.metrics.items())
    asked = f", {count(len(item.answers))} answered with at most {count(item.max_new_tokens)} tokens" if item.answers else ""
    out = f"<p class='soft'>Left out: {escape('; '.join(item.left_out[:5]))}{' …' if len(item.left_out) > 5 else ''}</p>"
    return (
        f'<section class="card"><table><caption><h3>{escape(item.label)}</h3>'
        f'<span class="soft">{plural(item.rows, "row")}{asked}. Read first: {METRICS[item.headline].label}, because '
        f'{escape(item.why)}.</span></caption><thead><tr><th scope="col">Figure</th>'
        f'<th scope="col">{item.before.capitalize()}</th><th scope="col">Tuned</th>'
        '<th scope="col">Change</th><th scope="colgroup" colspan="2">95 % interval of the change</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>{_confusion(item.confusion, item.before) if item.confusion else ''}"
        f"{out if item.left_out else ''}</section>"
    )


def _confusion(found: Confusion, before: str) -> str:
    """Both matrices: a row for each right label, a column for each label answered."""
    tables = []
    for side, counts in ((before, found.base), ("tuned", found.tuned)):
        head = "".join(f'<th scope="col">{escape(shorten(label, 24))}</th>' for label in found.labels)
        body = "".join(
            f'<tr><th scope="row">{escape(shorten(label, 24))}</th>'
            + "".join(f"<td{' class=right' if at == place else ''}>{number or '·'}</td>" for at, number in enumerate(line))
            + "</tr>"
            for place, (label, line) in enumerate(zip(found.labels, counts, strict=True))
            if any(line)
        )
        tables.append(
            f'<div class="scroll"><table class="confusion"><caption><h4>{escape(side.capitalize())}: right label down, '
            f"answered label across</h4></caption><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
    return f"<details open><summary>Confusion matrix</summary>{''.join(tables)}</details>"


def _figure(metric: Metric, found: Compared, first: bool, widest: float) -> str:
    tone = "good" if metric.gained(found.change) else "bad" if metric.lost(found.change) else ""
    word = {"good": "▲ better", "bad": "▼ worse"}.get(tone, "" if metric.better == "neither" else "unclear")
    scale = widest if metric.unit == "share" else _reach(found.change)
    return (
        f'<tr class="{tone}{" first" if first else ""}"><th scope="row">{escape(metric.label)}</th>'
        f'<td data-name="base">{metric.show(found.base.value)}</td><td data-name="tuned">{metric.show(found.tuned.value)}</td>'
        f'<td data-name="change">{metric.show_change(found.change.value)}</td>'
        f'<td class="span">{_track(found.change, scale)}</td>'
        f'<td class="interval">{metric.show_interval(found.change, change=True)} <span class="word">{word}</span></td></tr>'
    )


def _reach(change: Estimate) -> float:
    return max(abs(change.low or 0), abs(change.high or 0), abs(change.value), 1e-9)


def _track(change: Estimate, scale: float) -> str:
    def place(value: float) -> float:
        return 50 + 48 * max(-1.0, min(1.0, value / scale))

    low, high = (place(change.value if end is None else end) for end in (change.low, change.high))
    return (
        f'<span class="track" aria-hidden="true"><i style="left:{low:.1f}%;width:{high - low:.1f}%"></i>'
        f'<b style="left:{place(change.value):.1f}%"></b></span>'
    )


def _judged(found: Opinion) -> str:
    """What a judge and people found; grey where it is not to be believed, with why."""
    said = f"<p>{escape(found.report.judge)}: {escape(found.report.sentence)}</p>" if found.report else ""
    agreed = f"<p>{escape(found.agreement)}</p>" if found.agreement else ""
    doubts = "".join(f"<li>{escape(doubt[:1].upper() + doubt[1:])}.</li>" for doubt in found.doubts)
    listed = f"<p>These figures are not reliable and decide nothing:</p><ul>{doubts}</ul>" if doubts else ""
    rated = f"<p class='soft'>{plural(found.rated, 'pair')} rated by a person, blind.</p>"
    grey = "" if found.decides else " soft"
    return f'<section class="card{grey}" id="judge"><h3>Language model as judge</h3>{said}{agreed}{listed}{rated}</section>'


def _data(checked: DeskReport | None, origins: Sequence[str]) -> str:
    """Where the rows it was trained on come from, and what the checks of their content found."""
    origin = "".join(f"<p>{escape(words)}</p>" for words in origins)
    return f'<h2 id="data">Data</h2><section class="card">{origin}{_checked(checked) if checked else ""}</section>'


def _checked(checked: DeskReport) -> str:
    items = "".join(
        f"<li><b>{escape(item.check)}</b> ({escape(item.severity)}): {escape(item.message)}: {plural(item.count, item.unit)}, "
        f"{item.share:.1%}{f', first in {escape(item.examples[0].where)}' if item.examples else ''}. "
        f'<span class="soft">Not looked for: {escape(item.not_covered)}.</span></li>'
        for item in checked.findings
    )
    said = f"{plural(checked.rows, 'training row')} checked" + ("." if items else "; no check found anything.")
    listed = f"<ul>{items}</ul>" if items else ""
    return f'<p class="soft">{said}</p>{listed}'


def _samples(item: SetReport, first: bool) -> str:
    groups = []
    for name, label, meaning in _LISTS:
        places: list[int] = getattr(item, name)
        cards = "".join(_sample(item.answers[place]) for place in places)
        is_open = " open" if first and name == "changed" else ""
        if places:
            groups.append(
                f'<details{is_open}><summary>{label} <span class="soft">· {len(places)} · {meaning}</span></summary>'
                f"{cards}</details>"
            )
    legend = '<p class="soft">Against the reference: <ins>added words</ins> <del>missing words</del>.</p>' if first else ""
    return f'<section class="card"><h3>{escape(item.label)}</h3>{legend}{"".join(groups)}</section>' if groups else ""


def _sample(row: Answered) -> str:
    where = f"{row.file}:{row.line}" if row.file else ""
    earlier = f"after {plural(row.earlier, 'earlier message')}" if row.earlier else ""
    origin = " · ".join(part for part in (where, earlier) if part)
    return (
        f'<article class="sample"><div class="ask">{escape(shorten(row.question, 600))}</div><div class="sides">'
        f'<div><h4>Reference</h4><div class="answer" tabindex="0">{escape(row.reference)}</div>'
        f'<p class="scores">{escape(origin)}</p></div>'
        f"{_side('base', row.base, row.reference)}{_side('tuned', row.tuned, row.reference)}</div></article>"
    )


def _side(side: str, given: Given, reference: str) -> str:
    scores = given.scores
    told = [
        "exact" if scores["exact_match"] else f"ROUGE-L {METRICS['rouge_l'].show(scores['rouge_l'])}",
        f"loss {METRICS['loss'].show(scores['loss'])}",
        plural(given.tokens, "token"),
        *([] if given.stopped else ["did not stop"]),
    ]
    text = "".join(marked(reference, given.text)) or '<span class="soft">(empty)</span>'
    return (
        f'<div class="{side}"><h4>{side.capitalize()}</h4><div class="answer" tabindex="0">{text}</div>'
        f'<p class="scores">{escape(" · ".join(told))}</p></div>'
    )


def marked(reference: str, answer: str) -> Iterable[str]:
    """The answer as HTML, word by word: what the reference does not have as <ins>, what it has beyond as <del>."""
    wanted, given = (re.findall(r"(?:\w+|[^\w\s])\s*", text.lstrip()) for text in (reference, answer))
    if len(wanted) + len(given) > 4000:  # difflib is quadratic
        yield escape(answer)
        return
    bare = [[word.rstrip() for word in side] for side in (wanted, given)]
    for kind, from_, to, start, end in difflib.SequenceMatcher(None, *bare, autojunk=False).get_opcodes():
        missing, added = "".join(wanted[from_:to]), "".join(given[start:end])
        if kind == "equal":
            yield escape(added)
            continue
        yield _mark("del", missing) + (" " if missing and added and not missing[-1].isspace() else "")
        yield _mark("ins", added)


def _mark(tag: str, text: str) -> str:
    """The text in its tag, with the white space after it outside."""
    bare = text.rstrip()
    return f"<{tag}>{escape(bare)}</{tag}>{escape(text[len(bare) :])}" if bare else ""


def _spec(spec_yaml: str) -> str:
    return (
        f'<h2 id="spec">How it was made</h2><section class="card"><details><summary>The run as it was resolved</summary>'
        f'<pre tabindex="0">{escape(spec_yaml)}</pre></details></section>'
    )


def _reading(report: Report) -> str:
    used = {name for item in report.sets for name in item.metrics}
    formulas = "".join(
        f"<dt>{escape(metric.label)}</dt><dd>{escape(metric.formula)}</dd>"
        for metric in METRICS.values()
        if metric.name in used
    )
    speed = "".join(
        f"<p class='soft'>{side.capitalize()}: one answer alone {duration(one.latency)} (median of {one.asked_alone}, "
        f"{duration(one.latency_low)} to {duration(one.latency_high)}); together {count(one.tokens_per_second)} tokens/s.</p>"
        for side, one in report.speed.items()
    )
    beside = "<p class='soft'>Tuned ran with its adapter beside the base; merged, it runs as fast as base.</p>" if speed else ""
    return (
        f'<footer class="card"><details><summary>How to read this</summary><dl>{formulas}</dl>'
        f"<p class='soft'>Intervals: 95 % percentile bootstrap over rows, {count(report.resamples)} resamples, "
        f"seed {report.seed}; base and tuned are always resampled together. Where every row scored alike, "
        "the exact binomial bound stands instead. "
        "An interval speaks of rows like these, and of nothing else.</p>"
        f"<p class='soft'>Measured on {escape(report.device)}.</p>{speed}{beside}</details></footer>"
    )
