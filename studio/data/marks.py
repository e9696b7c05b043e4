"""Values that mark a row: numbers, flags, and the words by which a column says yes or no."""

from __future__ import annotations

import re
from collections.abc import Callable

FLAGS = frozenset(("true", "false", "👍", "👎", "thumbs_up", "thumbs_down", "thumbs up", "thumbs down", "good", "bad"))
"""Words that say whether a row is good, in lower case."""


YES = ("yes", "y", "ja", "oui", "sí", "si", "sim")
"""Yes in the languages of the names that are known."""
_AFFIRM = (
    *("positive", "up", "like", "liked", "upvote", "helpful", "accept", "accepted", "approved", "correct"),
    *YES,
)
DENIALS = (
    *("negative", "down", "dislike", "disliked", "downvote", "unhelpful", "reject", "rejected", "incorrect", "wrong"),
    *("no", "n", "nein", "non", "nej", "não"),
)
"""What says of a row that it is bad, in a column whose name says that it tells that."""
CROSSES = frozenset(("x", "✗", "✓", "✔"))
"""Marks in a column of a few marked rows."""
MARKS = frozenset((*_AFFIRM, *DENIALS, "1", "0", "-1", "1.0", "0.0", "-1.0"))
"""Further words that say it in a column whose name already says that it tells good rows from bad ones."""


def is_number(value: object) -> bool:
    """Whether a value is a number, also as a table writes it."""
    if isinstance(value, str):
        return bool(re.fullmatch(r"-?\d+(?:\.\d+)?", value.strip()))
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def flags_of(role: str, name: str) -> Callable[[object], bool]:
    """How a column of a plain name marks rows to keep or to drop: a `label` may be a class, and `correct` a choice's number;
    what is to be dropped may be crossed."""
    if role == "drop":
        marks = MARKS | CROSSES
        return lambda value: is_flag(value) or str(value).strip().lower() in marks
    if name == "label":
        return is_flag
    numbered = name != "correct"
    return lambda value: is_flag(value) or (str(value).strip().lower() in MARKS and (numbered or not is_number(value)))


def is_flag(value: object) -> bool:
    """Whether a value is true or false, also as a table writes it."""
    return isinstance(value, bool) or (isinstance(value, str) and value.strip().lower() in FLAGS)
