"""Read: a file, an archive of files, a folder or a hub dataset as a stream of rows, each with its file and line."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from studio.core.errors import DataError
from studio.data import in_memory
from studio.data.readers import READERS, Reader, containers, document, encoding, flashcards, hub, plain_faq, transcript
from studio.data.readers.facts import Facts
from studio.data.readers.sniff import LOOKED_AT, kind_by_content, not_to_learn, pair_mark
from studio.data.readers.unfold import unfolded
from studio.data.rows import Rejected, Row
from studio.data.settings import Data
from studio.data.sources import Source, find, not_found

_MAGIC = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook", ".zip or .xlsx"),
    (b"\x1f\x8b", "a gzip file", ".gz after its own ending, such as .jsonl.gz"),
    (b"PAR1", "a parquet file", ".parquet"),
    (b"%PDF", "a PDF", "nothing that is read here; save its text as .txt"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", ".xlsx, after saving it as such"),
    (b"SQLite format 3", "a database", "nothing that is read here; export a table as .csv"),
)


@dataclass
class Opened:
    """A source being read. facts fills up while rows are taken; position is how many of its bytes are done."""

    rows: Iterator[Row | Rejected]
    facts: Facts
    position: Callable[[], int]


def read(source: str, settings: Data) -> Iterator[Row | Rejected]:
    """All rows of a file, an archive, a folder in hub layout, or `hub:owner/name`, streamed.

    Rows that cannot be read come as `Rejected` in their place. Raises DataError for a file as a whole.
    """
    for item in find(source, settings=settings):
        with opened(item, settings) as stream:
            yield from stream.rows


def need_files(data: Data) -> None:
    """Raise DataError at once if a file of the data is not there or is of no kind that is read."""
    for file in [*data.files, *([data.holdout] if isinstance(data.holdout, str) else [])]:
        find(file, settings=data)


@contextlib.contextmanager
def opened(source: Source, settings: Data) -> Generator[Opened]:
    """The source's rows and what is found out about it, closed afterwards. Raises DataError if it cannot be opened."""
    facts = Facts(
        source.name,
        source.kind,
        remarks=list(source.remarks),
        format=settings.format or ("text" if set(settings.columns) == {"text"} else ""),
        columns=tuple(settings.columns.values()),
        sheet=settings.sheet or "",
        header_row=settings.header_row,
        message_order=settings.message_order or "",
        roles={speaker.strip().lower(): role for speaker, role in settings.roles.items()},
    )
    if source.kind == "hub":
        yield Opened(unfolded(hub.rows(source.path, settings.subset, settings.split, facts), facts), facts, lambda: 0)
        return
    if made := in_memory.provenance(Path(source.path)):
        facts.details["made from"] = str(made)
    reader = READERS[source.kind]
    with contextlib.ExitStack() as closing:
        raw = closing.enter_context(_open(source))
        if containers.is_pointer(encoding.upcoming(raw, 64)):
            raise containers.pointer(source.name)
        stream = closing.enter_context(_unpacked(source, raw))
        if reader.text:
            stream = closing.enter_context(_as_text(source, stream, settings, facts))
            reader = _by_content(reader, stream, source, facts)
        else:
            facts.encoding = ""
            if source.container:
                room = int(source.bytes) * (1 if source.kind == ".parquet" else 2)
                stream = closing.enter_context(containers.seekable(stream, source.name, room))
        rows = unfolded(reader.rows(stream, facts), facts)
        yield Opened(rows, facts, lambda: source.bytes if raw.closed else raw.tell())


def _by_content(reader: Reader, stream: BinaryIO, source: Source, facts: Facts) -> Reader:
    """The reader for what the text holds, with a remark where its name says something else."""
    head = encoding.upcoming(stream, LOOKED_AT)
    if source.kind in (".txt", ".csv", ".tsv") and facts.format != "text" and flashcards.are_cards(head):
        return Reader(flashcards.rows, text=True)
    kind = kind_by_content(head, source.kind)
    if kind != source.kind:
        facts.kind = kind
        facts.remarks.append(f"Its name ends in {source.kind}, but it holds what belongs in a {kind} file: read as such.")
        return READERS[kind]
    if source.kind not in (".txt", ".md") or facts.format == "text":
        return reader
    names = transcript.speakers(head, facts.roles)
    if names:
        facts.speakers = tuple(names)
        facts.remarks.append(f"It is a transcript of {', '.join(f'`{name}`' for name in names)}; read as conversations.")
        return Reader(transcript.rows, text=True)
    if source.kind == ".txt" and (refused := not_to_learn(head)):
        raise DataError(refused[0], hint=f"{refused[1]} To learn it as it stands, set data.format: text.", where=source.name)
    text = head.decode("utf-8", "replace") if source.kind == ".txt" else ""
    if plain_faq.is_faq(text):
        return Reader(plain_faq.rows, text=True)
    if plain_faq.is_dense(text):
        return Reader(functools.partial(plain_faq.rows, dense=True), text=True)
    mark = pair_mark(head) if source.kind == ".txt" else ""
    if mark:
        facts.remarks.append(f"Each of its lines holds two texts parted by `{mark.strip()}`; read as a table of two columns.")
        return Reader(functools.partial(document.pairs, mark=mark), text=True)
    return reader


def _as_text(source: Source, stream: BinaryIO, settings: Data, facts: Facts) -> BinaryIO:
    """The stream as UTF-8, after a look at whether it is text at all."""
    head = encoding.upcoming(stream, 512)
    if not head:
        raise DataError("the file is empty", hint="Give a file with rows.", where=source.name)
    for magic, what, ending in _MAGIC:
        if head.startswith(magic):
            raise DataError(
                f"it is named {source.kind} and is {what}", hint=f"Its name should end in {ending}.", where=source.name
            )
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")) and source.kind not in (
        ".txt",
        ".md",
        ".html",
        ".htm",
    ):
        raise DataError(
            "it is a web page, not data", hint="Download the file itself, not the page that shows it.", where=source.name
        )
    if settings.encoding:
        facts.encoding = encoding.known(settings.encoding, "data.encoding")
        if head.startswith(b"\xef\xbb\xbf") and facts.encoding == "utf-8":
            facts.encoding = "utf-8-sig"
    else:
        facts.encoding, remark = encoding.detect(lambda: _again(source), source.name)
        facts.remarks += [remark] if remark else []
    return encoding.as_utf8(stream, facts.encoding)


def _open(source: Source) -> BinaryIO:
    try:
        return open(source.path, "rb", buffering=1 << 20)
    except FileNotFoundError:
        raise not_found(Path(source.path)) from None
    except OSError as problem:
        raise DataError(f"it cannot be opened: {problem.strerror}", hint="Check who may read it.", where=source.path) from None


@contextlib.contextmanager
def _again(source: Source) -> Generator[BinaryIO]:
    """The source's unpacked bytes from the start, a second time."""
    with _open(source) as raw, _unpacked(source, raw) as stream:
        yield stream


def _unpacked(source: Source, raw: BinaryIO) -> BinaryIO:
    if source.container == "zip":
        return containers.open_member(raw, source.member, source.name)
    if source.container:
        return containers.open_compressed(source.container, raw, source.name)
    return raw
