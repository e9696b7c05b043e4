"""Fragments of the evidence: verdict, before and after with intervals, answers side by side with differences marked."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from studio.core.text import duration, plural
from studio.ui.fragments.parts import badge, figures, section, sentence, table, text

TONES = {"better": "good", "better but forgets": "warn", "no clear difference": "calm", "worse": "bad", "not measured": "warn"}
TITLES = {"held-out": "Held-out rows: never trained on", "general": "Forgetting check: what the base knew"}
VIEWS = (("changed", "Most changed"), ("best", "Best"), ("worst", "Worst"))


def verdict(report: Any) -> str:
    """The answer to "is it better?", with what limits it."""
    found = report.verdict
    lines = "".join(f"<li>{text(sentence(caution))}</li>" for caution in found.cautions)
    cautions = f'<div class="notice warn" role="note"><p>Read it with care</p><ul>{lines}</ul></div><br>' if lines else ""
    advice = f'<p class="note">{text(sentence(found.advice))}</p>' if found.advice else ""
    head = f'<div class="verdict">{badge(found.kind, TONES.get(found.kind, "calm"))}<span>{text(sentence(found.text))}</span></div>'
    return f'{head}{advice}<div style="margin-top:12px">{cautions}</div>{_speed(report)}'


def _speed(report: Any) -> str:
    if not report.speed:
        return ""
    items = [
        (f"One answer, {name}", duration(speed.latency), f"{speed.tokens_per_second:,.0f} tokens/s with many at once")
        for name, speed in report.speed.items()
    ]
    return figures(items)


def before_and_after(report: Any, metrics: Any) -> str:
    """Every figure of every set: base, tuned, the change and its 95 % interval."""
    html = ""
    for found in report.sets:
        rows = []
        for name, pair in found.metrics.items():
            metric = metrics[name]
            tone = "good" if metric.gained(pair.change) else "bad" if metric.lost(pair.change) else "calm"
            word = {"good": "better", "bad": "worse", "calm": "no clear change"}[tone]
            star = " <small>decides</small>" if name == found.headline else ""
            rows.append(
                (
                    f"{text(metric.label)}{star}",
                    text(metric.show(pair.base.value)),
                    text(metric.show(pair.tuned.value)),
                    text(metric.show_change(pair.change.value)),
                    text(metric.show_interval(pair.change, change=True)) + whisker(pair.change),
                    badge(word, tone),
                )
            )
        title = TITLES.get(found.name, str(found.name))
        note = f"{plural(found.rows, 'row')}, {plural(len(found.answers), 'row')} answered. {found.why}"
        columns = ("Figure", "Base", "Tuned", "Change", "95 % interval of the change", "")
        html += section(title, note) + table(columns, rows, title, (1, 2, 3)) + left_out(found) + "<br>"
    return html


def whisker(change: Any) -> str:
    """The interval of a change as a bar beside zero; nothing where there is no interval."""
    if change.low is None or change.high is None:
        return ""
    reach = max(abs(change.low), abs(change.high), 1e-12)

    def across(value: float) -> float:
        return 60 + 54 * value / reach

    colour = "var(--soft)" if change.low <= 0 <= change.high else "var(--brand)"
    return (
        '<svg viewBox="0 0 120 14" width="120" height="14" aria-hidden="true" style="display:block;margin-top:4px">'
        '<line x1="60" x2="60" y1="0" y2="14" style="stroke:var(--line)"/>'
        f'<line x1="{across(change.low):.1f}" x2="{across(change.high):.1f}" y1="7" y2="7" style="stroke:{colour};stroke-width:3"/>'
        f'<circle cx="{across(change.value):.1f}" cy="7" r="4" style="fill:{colour}"/></svg>'
    )


def left_out(found: Any) -> str:
    """The rows that could not be measured."""
    if not found.left_out:
        return ""
    items = "".join(f"<li>{text(item)}</li>" for item in found.left_out[:50])
    return f"<details><summary>{plural(len(found.left_out), 'row')} could not be measured</summary><ul>{items}</ul></details>"


def answers(found: Any, view: str, most: int = 10) -> str:
    """The answers of one view of a set, side by side."""
    places = {"best": found.best, "worst": found.worst, "changed": found.changed}.get(view, found.changed)
    shown = "".join(answer(found.answers[place]) for place in places[:most] if place < len(found.answers))
    return shown or '<p class="note">There is nothing to show here.</p>'


def answer(item: Any) -> str:
    """One question with its reference and both answers; what differs from the reference is marked."""
    place = f"{item.file}, line {item.line:,}" if item.file else ""
    earlier = f" · {plural(item.earlier, 'message')} before" if item.earlier else ""
    sides = "".join(
        f"<section><h4>{name}{'' if given.stopped else ' · did not end by itself'}</h4><div>{marked(given.text, item.reference)}</div></section>"
        for name, given in (("Base", item.base), ("Tuned", item.tuned))
    )
    return (
        f'<div class="sample"><div class="talk"><div class="turn user"><b>Question{text(earlier)}</b>{text(item.question)}</div></div>'
        f'<div class="sides"><section><h4>Wanted</h4><div>{text(item.reference)}</div></section>{sides}</div>'
        f'<p class="note">{text(place)}</p></div>'
    )


def marked(given: str, reference: str, most: int = 4000) -> str:
    """An answer with the words marked that are not in the reference at that place; all plain if they agree."""
    words, wanted = _words(given[:most]), _words(reference[:most])
    html = ""
    for tag, _, _, begin, end in difflib.SequenceMatcher(None, wanted, words, autojunk=False).get_opcodes():
        piece = text("".join(words[begin:end]))
        html += piece if tag == "equal" or not piece else f"<del>{piece}</del>"
    return html + ("…" if len(given) > most else "") or '<span class="soft">(nothing)</span>'


def _words(given: str) -> Sequence[str]:
    return re.findall(r"\w+|\s+|[^\w\s]", given)
