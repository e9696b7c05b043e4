"""Fragments of the evidence: verdict, before and after with intervals, answers side by side with differences marked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from studio.app.fragments.feedback import controls
from studio.app.fragments.parts import badge, figures, joined, note, section, sentence, table
from studio.core.html import Fragments
from studio.core.text import duration, plural

if TYPE_CHECKING:
    from studio.evaluation.interval import Estimate
    from studio.evaluation.metrics import Metric
    from studio.evaluation.report import Answered, Report, SetReport

_html = Fragments("studio.app", "evidence.html")
TONES = {"better": "good", "better but forgets": "warn", "no clear difference": "calm", "worse": "bad", "not measured": "warn"}
TITLES = {
    "held-out": "Held-out rows: never trained on",
    "cross-validated": "Cross-validation: every row, answered by a model that was not trained on it",
    "general": "Forgetting check: what the base knew",
    "general-text": "Forgetting check: how likely general answers and text are",
}
VIEWS = (("changed", "Most changed"), ("best", "Best"), ("worst", "Worst"))


def verdict(report: Report) -> Markup:
    """The answer to "is it better?", with what limits it."""
    given = report.verdict
    mark = badge(given.kind, "warn" if given.only_wording else TONES.get(given.kind, "calm"))
    cautions = [sentence(caution) for caution in given.cautions]
    return _html("verdict", mark, sentence(given.text), sentence(given.advice), cautions, _speed(report))


def _speed(report: Report) -> Markup:
    if not report.speed:
        return Markup("")
    return figures(
        [
            (f"One answer, {name}", duration(speed.latency), f"{speed.tokens_per_second:,.0f} tokens/s with many at once")
            for name, speed in report.speed.items()
        ]
    )


def savings(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """What each smaller form of a run costs; nothing where there is only the run itself."""
    if len(rows) < 2:
        return Markup("")
    title = "Size, speed and quality"
    told = "Exports, pruned and smaller models on this run's held-out rows, compared with it. * from the evaluation."
    return joined(
        section(title, told), table(tuple(name.capitalize() for name in columns), [tuple(row) for row in rows], title)
    )


def standard(scores: Any) -> Markup:
    """Tasks of lm-evaluation-harness on base, tuned and exports, and what the scores rest on."""
    title = "Standard benchmarks"
    said = [sentence(words) for words in scores.sentences]
    return joined(section(title, " ".join(said)), table(scores.columns, scores.rows, title, (2, 4)), *map(note, scores.limits))


def before_and_after(report: Report, metrics: Mapping[str, Metric]) -> Markup:
    """Every figure of every set: base, tuned, the change and its 95 % interval."""
    shown: list[Markup] = []
    for part in report.sets:
        rows: list[Sequence[Any]] = []
        for name, pair in part.metrics.items():
            metric = metrics[name]
            tone = "good" if metric.gained(pair.change) else "bad" if metric.lost(pair.change) else "calm"
            neither = "changed" if pair.change.above_zero or pair.change.below_zero else "no clear change"
            word = {"good": "better", "bad": "worse", "calm": neither}[tone]
            rows.append(
                (
                    _html("name", metric.label, name == part.headline),
                    metric.show(pair.base.value),
                    metric.show(pair.tuned.value),
                    metric.show_change(pair.change.value),
                    _html("interval", metric.show_interval(pair.change, change=True), _whisker(pair.change)),
                    badge(word, tone),
                )
            )
        title = TITLES.get(part.name, str(part.name))
        words = f"{plural(part.rows, 'row')}, {plural(len(part.answers), 'row')} answered. {sentence(part.why)}"
        columns = ("Metric", "Base", "Tuned", "Change", "95 % interval of the change", "Reading")
        shown += [section(title, words), table(columns, rows, title, (1, 2, 3)), confusion(part), left_out(part)]
    return joined(*shown)


def confusion(part: SetReport) -> Markup:
    """Of labels: both models' confusion matrices, the right label down and the answered label across."""
    found = part.confusion
    if found is None:
        return Markup("")
    shown: list[Markup] = []
    for side, counts in ((part.before.capitalize(), found.base), ("Tuned", found.tuned)):
        rows = [(label, *line) for label, line in zip(found.labels, counts, strict=True) if any(line)]
        caption = f"{side}: right label down, answered label across"
        shown.append(table((side, *found.labels), rows, caption, tuple(range(1, len(found.labels) + 1))))
    return _html("confusion", joined(*shown))


def _whisker(change: Estimate) -> dict[str, Any] | None:
    """The interval of a change as a bar beside zero, 120 wide; nothing where there is no interval."""
    if change.low is None or change.high is None:
        return None
    reach = max(abs(change.low), abs(change.high), 1e-12)
    colour = "var(--soft)" if change.low <= 0 <= change.high else "var(--brand)"
    ends = {"low": change.low, "high": change.high, "value": change.value}
    return {"colour": colour, **{name: 60 + 54 * value / reach for name, value in ends.items()}}


def left_out(part: SetReport) -> Markup:
    """The rows that could not be measured."""
    if not part.left_out:
        return Markup("")
    return _html("left_out", f"{plural(len(part.left_out), 'row')} could not be measured", part.left_out[:50])


MOST = 10
"""Answers of a view that are shown, unless told otherwise."""


def listed(part: SetReport, view: str, most: int = MOST) -> list[int]:
    """The indices of the answers that a view of a set shows."""
    indices = {"best": part.best, "worst": part.worst, "changed": part.changed}.get(view, part.changed)
    return [index for index in indices[:most] if index < len(part.answers)]


def answers(
    part: SetReport,
    view: str,
    said: Mapping[tuple[int, Any], Any] | None = None,
    origins: Mapping[int, Markup] | None = None,
    most: int = MOST,
) -> Markup:
    """The answers of one view of a set, side by side.

    said: what people said of answers, by index and side; without it answers cannot be rated. origins: where rows come from.
    most: how many answers at most.
    """
    shown = [answer(part.answers[index], index, said, (origins or {}).get(index)) for index in listed(part, view, most)]
    return joined(*shown) if shown else note("No answers to show.")


def answer(
    item: Answered, index: int = 0, said: Mapping[tuple[int, Any], Any] | None = None, origin: Markup | None = None
) -> Markup:
    """One question with its reference and both answers; what differs from the reference is marked."""
    where = f"{item.file}, line {item.line:,}" if item.file else ""
    earlier = f" · after {plural(item.earlier, 'message')}" if item.earlier else ""
    sides = [
        (
            f"{name}{'' if side.stopped else ' · did not stop on its own'}",
            marked(side.text, item.reference),
            "" if said is None else controls(f"{name.lower()}:{index}", said.get((index, name.lower()))),
        )
        for name, side in (("Base", item.base), ("Tuned", item.tuned))
    ]
    return _html("answer", item, earlier, sides, where, origin or "")


def marked(words: str, reference: str, most: int = 4000) -> Markup:
    """An answer with the words marked that are not in the reference at that point; all plain if they agree."""
    said, wanted = _words(words[:most]), _words(reference[:most])
    pieces: list[tuple[bool, str]] = []
    for tag, _, _, begin, end in difflib.SequenceMatcher(None, wanted, said, autojunk=False).get_opcodes():
        piece = "".join(said[begin:end])
        if piece:
            pieces.append((tag != "equal", piece))
    return _html("marked", pieces, len(words) > most)


def _words(words: str) -> Sequence[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", words)
