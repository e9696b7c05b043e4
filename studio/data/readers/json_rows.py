"""JSON: one row a line, or a list of rows in one document, read piece by piece so that memory stays small."""

from __future__ import annotations

import contextlib
import itertools
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from studio.core.errors import DataError
from studio.core.plain import is_list, is_object
from studio.core.text import size
from studio.data.readers.facts import ROW_BYTES, Facts
from studio.data.readers.json_values import loads, twice_named
from studio.data.rows import Rejected, Row
from studio.data.texts import python_literal

_BLOCK = 1 << 20
_TOKEN = re.compile(rb'"[^"\\\n]*(?:\\.[^"\\\n]*)*"|[{}\[\]"]')
_LISTS = rb"data|rows|train|examples|items|records|samples|dataset|instances|entries"
_WRAPPED = re.compile(
    rb'\s*\{\s*(?:"[^"]*"\s*:\s*(?:"[^"]*"|[-\d.eE+]+|true|false|null)\s*,\s*)*"(' + _LISTS + rb')"\s*:\s*\[\s*[\{\["\]]'
)


def lines(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """JSON lines. A line that is broken is rejected and reading goes on. A list of rows is read as one, too."""
    head = _first_block(stream)
    if _is_list(head):
        facts.remarks.append("Its name says lines of JSON, but it holds one list.")
        return _listed(stream, head, facts)
    if head.lstrip().split(b"\n", 1)[0].strip() == b"{":
        facts.remarks.append("Its name says one row a line, but rows go over several lines.")
        return _objects(stream, head, facts)
    return _lines(head, stream, facts)


def document(stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    """A JSON document: a list of rows, an object with such a list in it, one row, or lines of JSON all the same."""
    head = _first_block(stream)
    if _is_list(head):
        return _listed(stream, head, facts)
    if head.lstrip()[:1] == b'"' and b"\n" not in head.strip() and _parses(head.strip()):
        raise DataError(
            f"it holds a single text, {_shown(head)[:40]}, and no rows",
            hint='Write a list of rows, such as [{"text": …}], or save a text as .txt.',
            where=facts.name,
        )
    if head.lstrip().startswith((b"//", b"/*")):
        hint = "Take the comments out, and a comma behind the last row."
        raise DataError("it begins with a comment, which JSON does not have", hint=hint, where=f"{facts.name}, line 1")
    first, _, rest = head.strip().partition(b"\n")
    if rest and _parses(first):
        return _lines(head, stream, facts)
    if _WRAPPED.match(head):
        return _listed(stream, head, facts)
    return _lines(head, stream, facts) if _parses(first) else _objects(stream, head, facts)


def row_of(value: object, facts: Facts, line: int, text: bytes) -> Row | Rejected:
    """A parsed value as a row: an object as it is, a list of messages as `messages`, and a text as `text`, unless the text
    is such an object or list, written as JSON a second time."""
    if is_object(value):
        twice = text.count(b'":') != len(value) and twice_named(text)
        return Rejected(facts.name, line, twice, "", _shown(text)) if twice else Row(value, facts.name, line)
    if isinstance(value, str):
        inner, again = _encoded_twice(value), value.encode("utf-8", "replace")
        if inner is None:
            return Row({"text": value}, facts.name, line)
        if facts.details.get("encoded") != "twice":
            facts.details["encoded"] = "twice"
            facts.remarks.append("Its rows are texts that hold JSON; the objects in them were read as the rows.")
        return row_of(inner, facts, line, again)
    if is_list(value) and value and all(is_object(item) for item in value):
        return Row({"messages" if "role" in value[0] else "conversations": value}, facts.name, line)
    if is_list(value) and len(value) > 1 and not any(isinstance(item, (list, dict)) for item in value):
        return Row({f"column {place}": item for place, item in enumerate(value, 1)}, facts.name, line)
    return Rejected(facts.name, line, "wrong type: a row is an object with named values", "", _shown(text))


def _encoded_twice(text: str) -> dict[str, Any] | list[Any] | None:
    """The object, or list of objects, that a text is as a whole when read as JSON; else nothing."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if is_list(value):
        return value if value and all(is_object(item) for item in value) else None
    return value or None


def _lines(head: bytes, stream: BinaryIO, facts: Facts) -> Iterator[Row | Rejected]:
    name, number = facts.name, 0
    for line in _split(head, stream, facts):
        number += 1
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError as problem:
            with contextlib.suppress(orjson.JSONDecodeError):
                yield row_of(loads(line, facts), facts, number, line)
                continue
            if not line.strip():
                continue
            bare = line.removeprefix(BOM_UTF8).rstrip()
            bare = bare[:-1] if bare.endswith((b"},", b"],")) else bare
            if bare != line.rstrip():  # files that were put one below the other; rows of a list without its brackets
                yield from _parts([bare], number, facts)
                continue
            if b"\r" in line.rstrip():  # a line end of its own outside JSON texts: old Mac files, or mixed ones
                parts = line.rstrip(b"\r\n").split(b"\r")
                yield from _parts(parts, number, facts)
                number += len(parts) - 1
                continue
            value = python_literal(line.decode("utf-8", "replace")) if line.lstrip().startswith(b"{'") else None
            if not is_object(value):
                yield _broken(line, name, number, problem)
                continue
            if not facts.details.get("written by"):
                facts.details["written by"] = "Python"
                facts.remarks.append("Its lines are written as Python writes objects, not as JSON; read all the same.")
            yield Row(value, name, number)
            continue
        if is_object(value) and line.count(b'":') == len(value):  # nearly every row: no need to look closer
            yield Row(value, name, number)
        else:
            yield row_of(value, facts, number, line)


def _parts(parts: list[bytes], number: int, facts: Facts) -> Iterator[Row | Rejected]:
    for part in parts:
        try:
            if part.strip():
                yield row_of(loads(part, facts), facts, number, part)
        except orjson.JSONDecodeError as problem:
            yield _broken(part, facts.name, number, problem)
        number += 1


def _split(head: bytes, stream: BinaryIO, facts: Facts) -> Iterator[bytes]:
    """Lines of bytes with bounded memory."""
    rest, line = head, 1
    for block in itertools.chain(iter(lambda: stream.read(_BLOCK), b""), (b"",)):
        parts = (rest + block).split(b"\n") if block else rest.split(b"\n")
        rest = parts.pop()
        line += len(parts)
        yield from parts
        if len(rest) > ROW_BYTES:
            raise DataError(
                f"a single line has over {size(ROW_BYTES)}",
                hint="One row belongs on one line. Is this a list of rows? Then name the file .json.",
                where=f"{facts.name}, line {line}",
            )
    if rest:
        yield rest


def _listed(stream: BinaryIO, head: bytes, facts: Facts) -> Iterator[Row | Rejected]:
    """The elements of a list of rows, at the top or under one name of an object."""
    wrapped = _WRAPPED.match(head)
    opening = head.index(b"[", wrapped.end(1) if wrapped and not _is_list(head) else 0)
    scanner = _Scanner(stream, head, opening + 1, facts)
    yield from scanner.elements()
    rest = scanner.remainder().strip()
    if wrapped and not _is_list(head):
        key = wrapped[1].decode()
        facts.details["list"] = key
        if rest != b"}":
            facts.remarks.append(f"Only the list under `{key}` was read; the file holds more.")
    elif rest:
        raise DataError(
            f"the list of rows ends at line {scanner.line}, and the file goes on: {_shown(rest)[:60]}",
            hint="A bracket too many closes the list early. Repair that line, or write one row a line as .jsonl.",
            where=facts.name,
        )


def _objects(stream: BinaryIO, head: bytes, facts: Facts) -> Iterator[Row | Rejected]:
    """Objects that stand one after the other, each over several lines."""
    yield from _Scanner(stream, head, 0, facts, top=True).elements()


class _Scanner:
    """Finds where elements begin and end, without parsing what is in them; each is then parsed on its own."""

    def __init__(self, stream: BinaryIO, head: bytes, start: int, facts: Facts, top: bool = False) -> None:
        self._stream, self._facts, self._top = stream, facts, top
        self._buffer, self._at = head, start
        self.line = 1 + head.count(b"\n", 0, start)
        self._broken = 0

    def elements(self) -> Iterator[Row | Rejected]:
        """Rows up to the bracket that closes the list (or to the end of the file)."""
        depth, begin, broken = 0, self._at, False
        scan = self._at
        while True:
            token = _TOKEN.search(self._buffer, scan)
            if token is None or (token[0] == b'"' and self._buffer.find(b"\n", token.end()) < 0):
                scan = len(self._buffer) if token is None else token.start()
                scan, begin = scan - self._at, begin - self._at
                if not self._more(depth, broken):
                    break
                scan, begin = scan + self._at, begin + self._at
                continue
            text = token[0]
            scan = token.end()
            if text == b'"':  # a text may not go over a line end: it is broken, and ends there
                broken, scan = True, self._buffer.find(b"\n", scan)
            elif text in b"{[":
                if depth == 0:
                    yield from self._between(begin, token.start())
                    begin, broken = token.start(), False
                depth += 1
            elif text in b"}]":
                if depth == 0:
                    yield from self._between(begin, token.start())
                    self._pass(scan)
                    return
                depth -= 1
                if depth == 0:
                    yield self._element(begin, scan)
                    self._pass(scan)
                    begin = scan = self._at
            elif depth == 0:
                yield from self._between(begin, token.start())
                yield self._element(token.start(), scan)
                self._pass(scan)
                begin = scan = self._at
        yield from self._between(self._at, len(self._buffer))
        if not self._top:
            end = self.line + self._buffer.count(b"\n", self._at)
            broken = f"; the first broken row begins at line {self._broken}" if self._broken else ""
            raise DataError(
                f"the list of rows is not closed: the file ends at line {end}{broken}",
                hint="The file seems cut off. Get it again whole, or write one row a line as .jsonl.",
                where=self._facts.name,
            )

    def remainder(self) -> bytes:
        """What follows the list, up to a block of it."""
        return (self._buffer[self._at :] + self._stream.read(_BLOCK)).lstrip()

    def _more(self, depth: int, broken: bool) -> bool:
        """Read on, keeping only what is not yet done. False at the end of the file; raises if a row is still open then."""
        block = self._stream.read(_BLOCK)
        if block and len(self._buffer) - self._at < ROW_BYTES:
            self._buffer, self._at = self._buffer[self._at :] + block, 0
            return True
        if depth or block:
            skipped = len(self._buffer[self._at :]) - len(self._buffer[self._at :].lstrip(b", \t\r\n"))
            line = self.line + self._buffer.count(b"\n", self._at, self._at + skipped)
            raise DataError(
                f"the row that begins at line {line} is never closed",
                hint="A bracket or quote is missing there, or the file is cut off. Repair it, or write a row a line as .jsonl.",
                where=self._facts.name,
            )
        return False

    def _element(self, begin: int, end: int) -> Row | Rejected:
        line = self.line + self._buffer.count(b"\n", self._at, begin)
        text = self._buffer[begin:end]
        try:
            return row_of(loads(text, self._facts), self._facts, line, text)
        except orjson.JSONDecodeError as problem:
            self._broken = self._broken or line
            return _broken(text, self._facts.name, line, problem)

    def _between(self, begin: int, end: int) -> Iterator[Rejected]:
        """Anything but commas and space between elements is a row that is none."""
        text = self._buffer[begin:end]
        for stray in re.finditer(rb"[^,\s][^,\n]*", text) if text.strip(b", \t\r\n") else ():
            line = self.line + self._buffer.count(b"\n", self._at, begin + stray.start())
            yield Rejected(self._facts.name, line, "wrong type: a row is an object with named values", "", _shown(stray[0]))

    def _pass(self, end: int) -> None:
        self.line += self._buffer.count(b"\n", self._at, end)
        self._at = end


def _first_block(stream: BinaryIO) -> bytes:
    return stream.read(_BLOCK)


def _is_list(head: bytes) -> bool:
    return head.lstrip()[:1] == b"[" and not _list_per_line(head)


def _list_per_line(head: bytes) -> bool:
    """True if each line is a list of its own, as some tools write conversations."""
    first, newline, rest = head.strip().partition(b"\n")
    if not newline or not first.rstrip().endswith(b"]") or not rest.lstrip().startswith(b"["):
        return False
    return _parses(first)


def _parses(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _broken(text: bytes, name: str, line: int, problem: orjson.JSONDecodeError) -> Rejected:
    try:
        text.decode()
    except UnicodeDecodeError as byte:
        reason = f"undecodable byte: 0x{text[byte.start]:02x} at column {byte.start + 1} is not UTF-8 (see data.encoding)"
        return Rejected(name, line, reason, "", _shown(text))
    return Rejected(
        name, line, f"broken JSON: {problem.msg} at line {line + problem.lineno - 1}, column {problem.colno}", "", _shown(text)
    )


def _shown(text: bytes | str) -> str:
    return (text[:800].decode(errors="replace") if isinstance(text, bytes) else text)[:200].strip()
