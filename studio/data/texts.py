"""Single texts: is this value a text that can be learned from, and is anything odd about it?"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from typing import Any

from studio.core.plain import is_list, is_object
from studio.data.notes import Notes, Unusable

LONG_TEXT = 100_000
"""Characters from which a single field is noted as very long."""

_ODD = re.compile("[\x00\ufffd\ud800-\udfff]|Ã[\u0080-\u00bf\u2018-\u201e\u0178\u0160\u0161\u017d\u017e]|â€|Â[\u00a0-\u00bf]")
_CONTROL = re.compile(r"<\|[\w ]{2,24}\|>|</s>|\[/INST\]|<end_of_turn>")
_SHEET_ERRORS = frozenset(("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"))
_ABSENT = frozenset(("nan", "null", "none", "n/a", "na", "nil", "-", "--", "?", "tbd", "todo", "undefined"))


def text_of(values: dict[str, Any], column: str, what: str, notes: Notes) -> str:
    """The text in a column that must have one. Raises Unusable if it is missing, empty or no text.

    what names the role for the reason, e.g. `answer`.
    """
    value = values.get(column)
    if type(value) is str:
        if not value or value.isspace():
            raise Unusable(f"empty {what}", column)
        if len(value) < 10:
            _look_like_nothing(value, what, column, notes)
        return sound(value, column, notes)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise Unusable(f"missing {what}", column)
    return _number(value, column, what, notes)


def optional_text(values: Mapping[str, Any], column: str | None, what: str, notes: Notes) -> str:
    """The text in a column that may be absent or empty, then "". Raises Unusable if it holds something else."""
    if column is None:
        return ""
    value = values.get(column)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return sound(value, column, notes) if value and not value.isspace() else ""
    return _number(value, column, what, notes)


def is_absent(value: object) -> bool:
    """Whether an optional value is not there: null, not a number, an empty text or list."""
    return (
        value is None
        or value in ("", [], {})
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and value.isspace())
    )


def sound(text: str, column: str, notes: Notes) -> str:
    """The text itself, with a note if it is odd. Raises Unusable for half characters, which no file can hold."""
    if len(text) > LONG_TEXT:
        notes.add(f"a single text has over {LONG_TEXT:,} characters", column)
    if ("<" in text or "[/" in text) and _CONTROL.search(text):
        notes.add("the text of a chat template's control token, learned as characters and not as the token", column)
    if text.isascii():
        if "\0" in text:
            notes.add("a NUL character in a text", column)
        return text
    if _may_be_odd(text) and _ODD.search(text):
        _say_what_is_odd(text, column, notes)
    return text


def joined_parts(content: Any, what: str, column: str, notes: Notes) -> str:
    """A text given as nothing or as parts: `{"type": "text", "text": …}`, `{"text": …}` or `{"type", "value"}`, or a list."""
    if content is None:
        return ""
    if is_object(content):
        content = [content]
    if not is_list(content):
        raise Unusable(f"wrong type: the content of {what} is {kind_of(content)}, not a text", column)
    texts: list[str] = []
    for part in content:
        if isinstance(part, str):
            texts.append(sound(part, column, notes))
            continue
        kind = part.get("type", "text") if is_object(part) else None
        if kind in ("text", "input_text", "output_text") and isinstance(
            said := part.get("text", part.get("value", part.get("content"))), str
        ):
            texts.append(sound(said, column, notes))
        elif isinstance(kind, str) and kind != "text":
            raise Unusable(f"not only text: {what} holds `{kind[:40]}`, and only text is trained here", column)
        else:
            raise Unusable(f"wrong type: a content part of {what} is not a text", column)
    return "".join(texts)


def python_literal(text: str) -> Any:
    """The list or object that a text writes as Python does (`[{'role': 'user'}]`), also as numpy does; None if it is none."""
    text = text.strip()
    if not text.startswith(("[{'", '[{"', "{'")):
        return None
    try:
        return ast.literal_eval(re.sub(r"\}\s*\n\s*\{", "}, {", text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def kind_of(value: object) -> str:
    """A value's JSON type in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
        case bytes():
            return "binary data"
        case _:
            return f"a {type(value).__name__}"


def _may_be_odd(text: str) -> bool:
    """A quick look that spares nearly all texts the slow pattern."""
    if "\0" in text or "\ufffd" in text or "Ã" in text or "Â" in text or "â€" in text:
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _number(value: object, column: str, what: str, notes: Notes) -> str:
    """A number as it would be written; a sheet stores 24 as 24.0."""
    if isinstance(value, bool):
        notes.add(f"true or false is used as {what}", column)
        return str(value).lower()
    if not isinstance(value, (int, float)):
        raise Unusable(f"wrong type: the {what} is {kind_of(value)}, not a text", column)
    notes.add(f"a number is used as {what}", column)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _look_like_nothing(value: str, what: str, column: str, notes: Notes) -> None:
    bare = value.strip()
    if bare in _SHEET_ERRORS:
        raise Unusable(f"spreadsheet error as {what}: {bare}", column)
    if bare.casefold() in _ABSENT:
        notes.add(f"a placeholder such as `{bare.casefold()}` as {what}", column)


def _say_what_is_odd(text: str, column: str, notes: Notes) -> None:
    found = set(_ODD.findall(text))
    for odd in found:
        if "\udc80" <= odd <= "\udcff":
            byte = ord(odd) - 0xDC00
            raise Unusable(f"undecodable byte: 0x{byte:02x} does not fit the file's encoding", column)
        if "\ud800" <= odd <= "\udfff":
            raise Unusable("half of a surrogate pair: a character cut in two", column)
    if "\0" in found:
        notes.add("a NUL character in a text", column)
    if "\ufffd" in found:
        notes.add("a replacement character (U+FFFD): text was lost before it came here", column)
    if any(len(odd) > 1 for odd in found):
        notes.add("looks like text decoded with the wrong encoding (such as Ã¤ for ä)", column)
