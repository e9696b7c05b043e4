"""What a text file holds, whatever its name ends in: rows of JSON, a table, or text."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence

import orjson

from studio.data.readers.preamble import ask_and_answer

LOOKED_AT = 64 << 10
"""Bytes at a file's beginning that are looked at."""
_LINES = 20
_ROWS = re.compile(rb'\s*\[\s*\{\s*"')
_OBJECT = re.compile(rb'\s*\{\s*"[^"\n]*"\s*:')
_SUBTITLES = re.compile(r"(?:WEBVTT\b|(?:\d+\s*\n)?\s*\d{1,2}:\d{2}:\d{2}[,.]\d{3} --> )")
_MAIL = re.compile(
    r"(?:From \S+.*\n)?(?:(?:From|To|Cc|Subject|Date|Message-ID|Received|Return-Path|MIME-Version|X-[\w-]+):"
    r".*\n(?:[ \t].*\n)*){3,}",
    re.I,
)
_TAGGED = re.compile(r"-DOCSTART-.*|\S+(?:[ \t]+\S+){0,8}[ \t]+(?:O|[BIES]-\w+)")
_OTHER_DELIMITERS = ("~", "^", "¦", "，", "；", "、", ":", "\x1f", "\x01", "§")
_PAIR_MARKS = ("|||", "||", " => ", "\t", " | ")


def kind_by_content(head: bytes, kind: str) -> str:
    """The suffix by which a text file is to be read. head: its first `LOOKED_AT` bytes, as UTF-8; kind: its own suffix."""
    if kind in (".csv", ".tsv", ".txt", ".md"):
        if _ROWS.match(head):
            return ".json"
        if _OBJECT.match(head):
            lines = [line for line in head.split(b"\n")[:_LINES] if line.strip()]
            whole = lines[:-1] or lines
            if sum(map(_is_object, whole)) > 0.5 * len(whole):
                return ".jsonl"
            return ".json" if kind != ".md" and head.lstrip().split(b"\n", 1)[0].strip() == b"{" else kind
    if kind == ".txt" and _columns(head, "\t") > 1:
        return ".tsv"
    if kind == ".txt" and mark_of_names(head.decode("utf-8", "replace").split("\n", 1)[0], (",", ";")):
        return ".csv"
    if kind in (".json", ".jsonl", ".ndjson") and head.lstrip()[:1] not in (b"{", b"[", b"") and not _parses(head):
        for delimiter, suffix in ((",", ".csv"), (";", ".csv"), ("\t", ".tsv")):
            if _columns(head, delimiter) > 1:
                return suffix
    return kind


def not_to_learn(head: bytes) -> tuple[str, str] | None:
    """What a text is that nobody means to learn as it stands, and what to do; None for an ordinary text."""
    text = head.decode("utf-8", "replace").lstrip("\ufeff")
    if _SUBTITLES.match(text):
        return "it holds subtitles, whose numbers and times would be learned", "Save what is said without them."
    if _MAIL.match(text.replace("\r\n", "\n")):
        return (
            "it holds e-mails, whose headers would be learned",
            "Write question and answer of each thread as a row of .jsonl.",
        )
    lines = [line for line in text.splitlines()[:200] if line.strip()]
    tagged = sum(bool(_TAGGED.fullmatch(line.strip())) for line in lines)
    if len(lines) > 5 and tagged > 0.9 * len(lines):
        return (
            "it holds a word and its tag a line, from which no answers are learned",
            "Write sentences, or questions and answers.",
        )
    return None


def mark_of_names(line: str, marks: Sequence[str] = (",", ";", "\t", "|")) -> str:
    """The first of the marks that parts a line into names of columns, some that ask and some that answer; or nothing."""
    return next((mark for mark in marks if mark in line and ask_and_answer(line.split(mark))), "")


def other_delimiter(line: str) -> str:
    """A mark that parts names of columns that ask and answer, and is none of the delimiters that are read; or nothing."""
    return mark_of_names(line, _OTHER_DELIMITERS)


def pair_mark(head: bytes) -> str:
    """What parts question and answer in a text of one pair a line (`left || right`), or nothing."""
    lines = [line for line in head.decode("utf-8", "replace").split("\n")[:_LINES] if line.strip()]
    for mark in _PAIR_MARKS:
        if len(lines) >= 2 and all(
            line.count(mark) == 1 and all(map(str.strip, line.split(mark))) for line in lines[:-1] or lines
        ):
            return mark
    return ""


def _parses(head: bytes) -> bool:
    """Whether the first line is JSON of its own."""
    try:
        orjson.loads(head.lstrip().split(b"\n", 1)[0])
    except orjson.JSONDecodeError:
        return False
    return True


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _columns(head: bytes, delimiter: str) -> int:
    """How many columns a table with that delimiter has, if it is one: the same number in nearly all of its lines."""
    lines = head.decode("utf-8", "replace").splitlines()[: _LINES + 1]
    lines = [line for line in lines if line.strip()][:_LINES]
    if len(lines) < 2:
        return 0
    try:
        widths = Counter(len(cells) for cells in csv.reader(lines, delimiter=delimiter) if cells)
    except csv.Error:
        return 0
    if not widths:
        return 0
    width, count = widths.most_common(1)[0]
    return width if count >= 0.9 * widths.total() else 0
