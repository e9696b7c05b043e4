"""What a text file holds, whatever its name ends in: rows of JSON, a table, or text."""

from __future__ import annotations

import csv
import re
from collections import Counter

import orjson

LOOKED_AT = 64 << 10
"""Bytes at a file's beginning that are looked at."""
_LINES = 20
_ROWS = re.compile(rb'\s*\[\s*\{\s*"')
_OBJECT = re.compile(rb'\s*\{\s*"[^"\n]*"\s*:')
_PAIR_MARKS = ("|||", "||", " => ", "\t")


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
    if kind in (".json", ".jsonl", ".ndjson") and head.lstrip()[:1] not in (b"{", b"[", b"") and not _parses(head):
        for delimiter, suffix in ((",", ".csv"), (";", ".csv"), ("\t", ".tsv")):
            if _columns(head, delimiter) > 1:
                return suffix
    return kind


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
