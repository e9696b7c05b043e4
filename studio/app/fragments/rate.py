"""Fragments of blind ratings and of a judge's figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from studio.app.fragments.parts import empty
from studio.core.html import Fragments
from studio.core.text import plural

if TYPE_CHECKING:
    from studio.evaluation.judge.opinion import Opinion
    from studio.evaluation.judge.ratings import Blind

_html = Fragments("studio.app", "rate.html")


def pair(item: Blind, number: int, of: int) -> Markup:
    """A question with two answers, without whose they are."""
    return _html("pair", item, number, of)


def finished(pairs: int) -> Markup:
    """All pairs are rated."""
    return empty(
        "All pairs are rated", f"{pairs} pairs. Your ratings are compared with a judge's below.", "/evidence", "Evidence"
    )


def opinion(opinion: Opinion, run: str, link: bool = True) -> Markup:
    """What a judge found; grey where it is not to be believed, with why. link: to the page where pairs are rated."""
    return _html("opinion", opinion, opinion.agreement, run, plural(opinion.rated, "pair"), link)
