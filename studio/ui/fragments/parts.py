"""The small parts that all pages are made of."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from studio.core.errors import StudioError

TONES = {
    "done": "good",
    "failed": "bad",
    "interrupted": "warn",
    "stopped": "warn",
    "queued": "calm",
    "preparing": "busy",
    "training": "busy",
    "evaluating": "busy",
    "exporting": "busy",
}


def text(value: Any) -> str:
    """Any value as escaped text."""
    return escape(str(value), quote=True)


def bar(pages: Iterable[tuple[str, str]], current: str) -> str:
    """Brand, navigation and the switch between light and dark."""
    links = "".join(
        f'<a href="{path}"{" aria-current=page" if name == current else ""}>{text(name)}</a>' for name, path in pages
    )
    return (
        '<a class="skip" href="#page-title">Skip to the page</a><header class="bar"><a class="brand" href="/">'
        f'<img src="/look/favicon.svg" alt="" width="26" height="26"><span>Studio</span></a><nav aria-label="Pages">{links}</nav>'
        '<button class="theme" type="button" data-theme-switch aria-label="Switch between light and dark" title="Light or dark">'
        '<svg viewBox="0 0 20 20" width="18" height="18" aria-hidden="true"><path fill="currentColor" '
        'd="M10 2a8 8 0 1 0 0 16A8 8 0 0 0 10 2m0 1.6v12.8a6.4 6.4 0 0 1 0-12.8"/></svg></button></header>'
    )


def heading(title: str, lead: str = "") -> str:
    """A page's title and one line on what it is for."""
    return f'<div class="heading"><h1 id="page-title" tabindex="-1">{text(title)}</h1>{f"<p>{text(lead)}</p>" if lead else ""}</div>'


def section(title: str, note: str = "") -> str:
    """The title of a card."""
    return f'<h2 class="section">{text(title)}</h2>{f"<p class=note>{text(note)}</p>" if note else ""}'


def badge(label: str, tone: str = "calm") -> str:
    """A word with a colour; the word says it all by itself."""
    return f'<span class="badge {text(tone)}">{text(label)}</span>'


def state(name: str) -> str:
    """A run's state as a badge."""
    return badge(name, TONES.get(name, "calm"))


def empty(title: str, what_to_do: str, link: str = "", label: str = "") -> str:
    """What a page shows while it has nothing to show, and what to do about it."""
    button = f'<a class="link-button" href="{text(link)}">{text(label)}</a>' if link else ""
    return f'<div class="empty"><h2>{text(title)}</h2><p>{text(what_to_do)}</p>{button}</div>'


def notice(message: str, hint: str = "", tone: str = "warn", where: str = "") -> str:
    """A warning, an error or a note, with what to do about it."""
    place = f'<span class="where">{text(where)}</span>' if where else ""
    advice = f'<p class="hint">{text(hint)}</p>' if hint else ""
    return f'<div class="notice {text(tone)}" role="{"alert" if tone == "bad" else "note"}"><p>{text(message)}</p>{advice}{place}</div>'


def error(problem: StudioError) -> str:
    """An error of the studio's tree as a notice."""
    return notice(sentence(problem.message), problem.hint, "bad", problem.where)


def at_field(name: str, html: str, says: str) -> str:
    """A fragment that studio.js repeats, as the plain text `says`, below the form's field of that element id."""
    return f'<div data-field="{text(name)}" data-says="{text(sentence(says))}">{html}</div>' if name else html


def told(problem: StudioError) -> str:
    """An error as the escaped text of a toast."""
    where = f"{text(problem.where)}: " if problem.where else ""
    return f"{where}{text(problem.message)}<br>{text(problem.hint)}"


def sentence(words: str) -> str:
    """With a capital letter and a full stop."""
    words = words.strip()
    return f"{words[:1].upper()}{words[1:]}{'' if words[-1:] in '.!?…' else '.'}" if words else ""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str, figures: Sequence[int] = ()) -> str:
    """A table whose cells are HTML already. figures are the columns set to the right. caption names it for screen readers."""
    head = "".join(f'<th scope="col"{_right(place, figures)}>{text(name)}</th>' for place, name in enumerate(columns))
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{_right(place, figures)} data-label='{text(columns[place])}'><div>{cell}</div></td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="table-holder" tabindex="0" role="region" aria-label="{text(caption)}"><table><caption class="unseen">{text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _right(place: int, figures: Sequence[int]) -> str:
    return ' class="figure"' if place in figures else ""


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values in two columns."""
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in pairs)
        + "</dl>"
    )


def figures(items: Iterable[tuple[str, str, str]]) -> str:
    """Large figures in a row: (label, value, note)."""
    cells = "".join(
        f'<div class="kpi"><span class="label">{text(label)}</span><span class="value">{text(value)}</span>'
        f'<span class="sub">{text(note) or "&nbsp;"}</span></div>'
        for label, value, note in items
    )
    return f'<div class="kpis">{cells}</div>'


def progress(done: float, total: float, label: str) -> str:
    """How far something is; without a total it only says that it goes on."""
    share = min(1.0, max(0.0, done / total)) if total else None
    value = f' value="{share:.4f}"' if share is not None else ""
    shown = f"{share:.0%}" if share is not None else ""
    return (
        f'<div class="progress"><progress max="1"{value} aria-label="{text(label)}"></progress>'
        f"<span>{text(label)}</span><span>{shown}</span></div>"
    )


def when(seconds: float | None) -> str:
    """A moment, as a time this machine's people read."""
    if not seconds:
        return "–"
    moment = datetime.datetime.fromtimestamp(seconds)
    today = datetime.datetime.now().date()
    return moment.strftime("today %H:%M" if moment.date() == today else "%d %b %Y %H:%M")


def number(value: Any) -> str:
    """A figure to four significant digits, a dash for none."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def waiting(what: str) -> str:
    """Something that takes a moment."""
    return f'<p class="note" role="status">{text(what)}</p>'
