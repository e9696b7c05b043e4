"""The small parts that all pages are made of."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from studio.core.errors import StudioError
from studio.core.html import Fragments
from studio.core.html import sentence as sentence

_html = Fragments("studio.app", "parts.html")

TONES = {
    "done": "good",
    "failed": "bad",
    "damaged": "bad",
    "interrupted": "warn",
    "stopped": "warn",
    "queued": "calm",
    "preparing": "busy",
    "training": "busy",
    "evaluating": "busy",
    "exporting": "busy",
}


def text(value: object) -> Markup:
    """Any value as escaped text; what is markup already stays as it is."""
    return escape(value)


def bar(pages: Iterable[tuple[str, str]], current: str) -> Markup:
    """Brand, navigation and the switch between light and dark."""
    return _html("bar", pages, current)


def heading(title: str, lead: str = "") -> Markup:
    """A page's title and one line on what it is for."""
    return _html("heading", title, lead)


def section(title: str, note: str = "") -> Markup:
    """The title of a card."""
    return _html("section", title, note)


def badge(label: str, tone: str = "calm") -> Markup:
    """A word with a colour; the word says it all by itself."""
    return _html("badge", label, tone)


def state(name: str) -> Markup:
    """A run's state as a badge."""
    return badge(name, TONES.get(name, "calm"))


def note(words: str) -> Markup:
    """A line in a softer tone."""
    return _html("note", words)


def empty(title: str, what_to_do: str, link: str = "", label: str = "") -> Markup:
    """What a page shows while it has nothing to show, and what to do about it."""
    return _html("empty", title, what_to_do, link, label)


def notice(message: str, hint: str = "", tone: str = "warn", where: str = "") -> Markup:
    """A warning, an error or a note, with what to do about it."""
    return _html("notice", message, hint, tone, where)


def error(problem: StudioError) -> Markup:
    """An error of the studio's tree as a notice."""
    return notice(sentence(problem.message), problem.hint, "bad", problem.where)


def at_field(name: str, html: Markup, says: str) -> Markup:
    """A fragment that studio.js repeats, as the plain text `says`, below the form's field of that element id."""
    return _html("at_field", name, html, sentence(says)) if name else html


def toast(problem: StudioError) -> Markup:
    """An error as the content of a toast."""
    return _html("toast", problem.message, problem.hint, problem.where)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    caption: str,
    figures: Sequence[int] = (),
    narrow: bool = False,
) -> Markup:
    """A table. figures: the columns set to the right; narrow: it may be read on a phone, a row a card; caption names it for
    screen readers. Cells that are not `Markup` are escaped."""
    return _html("table", columns, [list(row) for row in rows], caption, figures, narrow)


def facts(pairs: Iterable[tuple[str, str]]) -> Markup:
    """Names and values in two columns."""
    return _html("facts", pairs)


def figures(items: Iterable[tuple[str, str, str]]) -> Markup:
    """Large figures in a row: (label, value, note)."""
    return _html("figures", items)


def progress(done: float, total: float, label: str) -> Markup:
    """How far something is; without a total it only says that it goes on."""
    return _html("progress", min(1.0, max(0.0, done / total)) if total else None, label)


def command(line: str) -> Markup:
    """A command with a button that copies it."""
    return _html("command", line)


def verbatim(value: str) -> Markup:
    """A text as it is, its lines kept."""
    return _html("verbatim", value)


def details(summary: str, content: Markup, shown: bool = False) -> Markup:
    """Content that folds away behind its summary; nothing where there is none. shown: it is open at first."""
    return _html("details", summary, content, shown) if content else Markup("")


def came_from(origin: Iterable[tuple[str, str]], shown: bool = True) -> Markup:
    """Where a row comes from; nothing where nothing is known."""
    known = list(origin)
    return details("Where this row comes from", facts(known), shown) if known else Markup("")


def links(items: Iterable[tuple[str, str, bool]]) -> Markup:
    """Links as buttons: (label, where, whether it is the main one). One to a setting opens beside the page, whose form stays."""
    return _html("links", items)


def spaced(*fragments: Markup | str) -> Markup:
    """Fragments below each other, with a space between."""
    return _html("spaced", fragments)


def sample(title: str, note: str, *fragments: Markup | str) -> Markup:
    """An example in a frame."""
    return _html("sample", title, note, fragments)


def joined(*fragments: object) -> Markup:
    """Fragments one after another; text among them is escaped."""
    return Markup("").join(fragments)  # type: ignore[arg-type]  # Markup escapes whatever has no markup


def when(seconds: float | None) -> str:
    """A moment, as a time this machine's people read."""
    if not seconds:
        return "–"
    moment = datetime.datetime.fromtimestamp(seconds)
    today = datetime.datetime.now().date()
    return moment.strftime("today %H:%M" if moment.date() == today else "%d %b %Y %H:%M")


def number(value: object) -> str:
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


def waiting(what: str) -> Markup:
    """Something that takes a moment."""
    return _html("waiting", what)
