"""Text encodings: found by mark, by being valid UTF-8, or by likelihood; and any of them as a stream of UTF-8."""

from __future__ import annotations

import codecs
import contextlib
import functools
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, cast

from studio.core.errors import DataError
from studio.core.text import nearest, shorten

SCANNED = 256 << 20
"""Bytes of a file that are looked at for bytes that are not UTF-8. Later ones are rejected row by row."""
_BLOCK = 1 << 20
_ENOUGH = 64 << 10
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = bytes({*range(32), 127} - set(b"\t\n\v\f\r\x1b"))
_LIKELY = ["cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "iso8859_2", "iso8859_15", "koi8_r"]
_ASIAN = ["cp932", "euc_jp", "gb18030", "big5", "cp949"]


def known(encoding: str, where: str) -> str:
    """The encoding's proper name. Raises DataError if Python has none of that name."""
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        near = nearest(encoding, ("utf-8", "utf-16", "cp1252", "cp1250", "cp1251", "latin-1", "shift_jis", "gb18030", "big5"))
        hint = f"Did you mean {near}?" if near else "Leave data.encoding empty to have it detected."
        raise DataError(f"there is no text encoding `{encoding}`", hint=hint, where=where) from None


def detect(open_again: Callable[[], AbstractContextManager[BinaryIO]], where: str) -> tuple[str, str]:
    """The encoding of a file, and a remark if it is a guess. open_again gives the file's bytes from the start.

    Raises DataError, naming `where`, for bytes that are no text.
    """
    with open_again() as stream:
        head = stream.read(_BLOCK)
        for mark, name in _MARKS:
            if head.startswith(mark):
                return name, ""
        wide = _without_mark(head[:4096])
        if wide:
            return wide, f"Taken as {wide} by its zero bytes; it has no byte order mark."
        if _is_binary(head[:_ENOUGH]):
            raise DataError(
                "this is not a text file: it is full of control bytes",
                hint="Open the file in the program that made it and save it as CSV or JSONL.",
                where=where,
            )
        odd = _odd_lines(head, stream)
    return _likely(odd) if odd else ("utf-8", "")


def _is_binary(head: bytes) -> bool:
    """Whether more than one byte in fifty is a control character that texts do not hold."""
    return len(head.translate(None, _CONTROL)) < 0.98 * len(head)


def upcoming(stream: BinaryIO, length: int) -> bytes:
    """At most so many bytes that come next in a buffered reader, which stay to be read."""
    return cast("Any", stream).peek(length)[:length]


def as_utf8(stream: BinaryIO, encoding: str) -> BinaryIO:
    """The stream's bytes as UTF-8 without a byte order mark. UTF-8 itself passes unchanged, faults and all."""
    if encoding in ("utf-8", "ascii"):
        return stream
    if encoding == "utf-8-sig":
        if upcoming(stream, len(codecs.BOM_UTF8)) == codecs.BOM_UTF8:
            stream.read(len(codecs.BOM_UTF8))
        return stream
    return io.BufferedReader(_Recoded(stream, encoding), _BLOCK)


def text_lines(stream: BinaryIO, newline: str | None = None, limit: int = -1) -> Iterator[str]:
    """Lines of a UTF-8 stream, which stays open and its owner's to close; bytes that are not UTF-8 become surrogates.

    newline: as of `open`; "" leaves the ends of lines as they are. limit: a longer line comes in pieces of so many
    characters; -1 means no limit.
    """
    text = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline=newline)
    try:
        yield from iter(functools.partial(text.readline, limit), "")
    finally:
        with contextlib.suppress(ValueError):  # the owner has closed it
            text.detach()


class _Recoded(io.RawIOBase):
    """A stream of text in some encoding, read as UTF-8. Undecodable bytes become U+FFFD, which the checks point out."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream, self._rest = stream, b""
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            block = self._stream.read(_BLOCK)
            self._rest = self._decoder.decode(block, final=not block).encode("utf-8", "replace")
            if not block and not self._rest:
                return 0
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def close(self) -> None:
        self._stream.close()
        super().close()


def _without_mark(head: bytes) -> str:
    """UTF-16 without its mark: every second byte of Latin text is zero."""
    half = len(head) // 2
    if half < 8:
        return ""
    if head[1::2].count(0) > 0.4 * half and head[::2].count(0) < 0.05 * half:
        return "utf-16-le"
    if head[::2].count(0) > 0.4 * half and head[1::2].count(0) < 0.05 * half:
        return "utf-16-be"
    return ""


def _odd_lines(head: bytes, stream: BinaryIO) -> bytes:
    """Lines that are not UTF-8, enough to tell what they are; nothing if they are single faults in a UTF-8 file."""
    odd, odd_lines, good_lines, seen, rest = b"", 0, 0, 0, b""
    block = head
    while block and seen < SCANNED and len(odd) < _ENOUGH:
        seen += len(block)
        following = stream.read(_BLOCK)
        if block.isascii() and rest.isascii():
            block, rest = following, b""
            continue
        whole, newline, rest = (rest + block).rpartition(b"\n") if following else (rest + block, b"", b"")
        if not newline and following and len(rest) > 8 * _BLOCK:
            whole, rest = rest, b""
        for line in whole.splitlines():
            if line.isascii():
                continue
            try:
                line.decode()
                good_lines += 1
            except UnicodeDecodeError:
                odd_lines += 1
                odd += line + b"\n"
        block = following
    return b"" if good_lines >= 10 * odd_lines else odd


def _likely(odd: bytes) -> tuple[str, str]:
    """The likeliest encoding of lines that are not UTF-8. cp1252 wins ties: it is what spreadsheets in the West write."""
    from charset_normalizer import from_bytes

    found = list(from_bytes(odd[:_ENOUGH], cp_isolation=[*_LIKELY, *_ASIAN], steps=8))
    if not found:
        return (
            "cp1252",
            "It is not UTF-8 and its encoding could not be told; taken as cp1252. Set data.encoding if that is wrong.",
        )
    best = found[0]
    near = [match for match in found if match.chaos <= best.chaos + 0.05 and match.coherence >= best.coherence - 0.1]
    western = any("cp1252" in match.could_be_from_charset for match in near)
    name = "cp1252" if western else best.encoding
    shown = shorten(odd[:400].decode(name, "replace"), 60)
    return name, f"It is not UTF-8; taken as {name} by its letters: {shown!r}. Set data.encoding if that reads wrong."
