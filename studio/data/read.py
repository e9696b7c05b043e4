"""Read: a file, an archive of files, a folder or a hub dataset as a stream of rows, each with its file and line."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from studio.core.errors import DataError
from studio.core.files import nearest_file
from studio.data.readers import READERS, containers, encoding, hub
from studio.data.readers.facts import Facts
from studio.data.readers.sniff import LOOKED_AT, kind_by_content
from studio.data.rows import Rejected, Row
from studio.data.settings import Data

_ELSEWHERE = {
    ".xls": "Save it as .xlsx in your spreadsheet program.",
    ".ods": "Save it as .xlsx in your spreadsheet program.",
    ".pdf": "Save its text as .txt or .md.",
    ".docx": "Save its text as .txt or .md.",
    ".doc": "Save its text as .txt or .md.",
    ".html": "Save its text as .txt or .md.",
    ".yaml": "Write the rows as .jsonl.",
    ".py": "Run it and give the file it writes: code is never run here.",
    ".arrow": "Save it as .parquet.",
    ".pkl": "Save it as .parquet or .jsonl: pickles can run code and are never opened.",
    ".zst": "Unpack it, or pack it as .gz.",
    ".bz2": "Unpack it, or pack it as .gz.",
    ".xz": "Unpack it, or pack it as .gz.",
    ".7z": "Unpack it, or pack it as .zip.",
    ".tar": "Unpack it, or pack it as .zip.",
    ".tgz": "Unpack it, or pack it as .zip.",
}
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?")
_MAGIC = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook", ".zip or .xlsx"),
    (b"\x1f\x8b", "a gzip file", ".gz after its own ending, such as .jsonl.gz"),
    (b"PAR1", "a parquet file", ".parquet"),
    (b"%PDF", "a PDF", "nothing that is read here; save its text as .txt"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", ".xlsx, after saving it as such"),
    (b"SQLite format 3", "a database", "nothing that is read here; export a table as .csv"),
)


@dataclass(frozen=True)
class Source:
    """One thing with rows in it: a file, a file in an archive, or a dataset. name is how rows and errors call it."""

    name: str
    path: str
    kind: str
    """Its suffix, e.g. `.csv`; `hub` for a dataset or a folder."""
    container: str = ""
    """`gzip` or `zip`, or nothing."""
    member: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes of the file on disk (of the whole archive for a member); 0 if not known."""
        return 0 if self.kind == "hub" else Path(self.path).stat().st_size


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
    for item in find(source):
        with opened(item, settings) as stream:
            yield from stream.rows


class QuestionFiles(Protocol):
    """The evaluation settings that name files."""

    @property
    def also(self) -> list[str]:
        """Further question files."""
        ...

    @property
    def general(self) -> str:
        """A question file, or one of the words `builtin` and `off`."""
        ...


def need_files(data: Data, evaluation: QuestionFiles | None = None) -> None:
    """Raise DataError at once if a file that a run will read is not there or is of no kind that is read."""
    files = [*data.files, *([data.holdout] if isinstance(data.holdout, str) else [])]
    if evaluation is not None:
        files += [*evaluation.also, *([evaluation.general] if evaluation.general not in ("builtin", "off") else [])]
    for file in files:
        find(file)


def find(source: str, name: str = "") -> list[Source]:
    """The sources that a path or hub name stands for: one, or one for each data file in a zip archive. Raises DataError."""
    if source.startswith("hub:"):
        dataset = source.removeprefix("hub:")
        if not (_HUB_NAME.fullmatch(dataset) or Path(dataset).is_dir()):
            raise DataError(f"`{dataset}` is not the name of a dataset", hint="Write hub:owner/name.", where=source)
        return [Source(source, dataset, "hub")]
    path = Path(source).expanduser()
    name = name or path.name
    if path.is_dir():
        return [Source(name, str(path), "hub")]
    if not path.exists():
        raise _not_found(path)
    suffix, inner = path.suffix.lower(), Path(path.stem).suffix.lower()
    if suffix == ".zip":
        return _in_zip(path, name)
    if suffix in (".gz", ".gzip"):
        return [Source(name, str(path), _known(inner, path, name), "gzip")]
    return [Source(name, str(path), _known(suffix, path, name))]


@contextlib.contextmanager
def opened(source: Source, settings: Data) -> Iterator[Opened]:
    """The source's rows and what is found out about it, closed afterwards. Raises DataError if it cannot be opened."""
    facts = Facts(source.name, source.kind, remarks=list(source.remarks))
    if source.kind == "hub":
        yield Opened(hub.rows(source.path, settings.subset, settings.split, facts), facts, lambda: 0)
        return
    reader = READERS[source.kind]
    with contextlib.ExitStack() as closing:
        raw = closing.enter_context(_open(source))
        if raw.peek(64).startswith(b"version https://git-lfs"):  # type: ignore[attr-defined] - a buffered reader
            raise DataError("it is a pointer to a file in Git LFS, not the file", hint="Run git lfs pull.", where=source.name)
        stream = closing.enter_context(_unpacked(source, raw))
        if reader.text:
            stream = closing.enter_context(_as_text(source, stream, settings, facts))
            kind = kind_by_content(stream.peek(LOOKED_AT)[:LOOKED_AT], source.kind)  # type: ignore[attr-defined]
            if kind != source.kind:
                facts.kind, reader = kind, READERS[kind]
                facts.remarks.append(
                    f"Its name ends in {source.kind}, but it holds what belongs in a {kind} file: read as such."
                )
        else:
            facts.encoding = ""
            if source.container:
                room = int(source.bytes) * (1 if source.kind == ".parquet" else 2)
                stream = closing.enter_context(containers.seekable(stream, source.name, room))
        yield Opened(reader.rows(stream, facts), facts, lambda: source.bytes if raw.closed else raw.tell())


def _as_text(source: Source, stream: BinaryIO, settings: Data, facts: Facts) -> BinaryIO:
    """The stream as UTF-8, after a look at whether it is text at all."""
    head = stream.peek(512)[:512]  # type: ignore[attr-defined] - always a buffered reader
    if not head:
        raise DataError("the file is empty", hint="Give a file with rows.", where=source.name)
    for magic, what, ending in _MAGIC:
        if head.startswith(magic):
            raise DataError(
                f"it is named {source.kind} and is {what}", hint=f"Its name should end in {ending}.", where=source.name
            )
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")) and source.kind not in (".txt", ".md"):
        raise DataError(
            "it is a web page, not data", hint="Download the file itself, not the page that shows it.", where=source.name
        )
    if settings.encoding:
        facts.encoding = encoding.known(settings.encoding, "data.encoding")
        if head.startswith(b"\xef\xbb\xbf") and facts.encoding == "utf-8":
            facts.encoding = "utf-8-sig"
    else:
        facts.encoding, remark = encoding.detect(lambda: _unpacked(source, _open(source)), source.name)
        facts.remarks += [remark] if remark else []
    return encoding.as_utf8(stream, facts.encoding)


def _open(source: Source) -> BinaryIO:
    try:
        return open(source.path, "rb", buffering=1 << 20)
    except FileNotFoundError:
        raise _not_found(Path(source.path)) from None
    except OSError as problem:
        raise DataError(f"it cannot be opened: {problem.strerror}", hint="Check who may read it.", where=source.path) from None


def _unpacked(source: Source, raw: BinaryIO) -> BinaryIO:
    if source.container == "gzip":
        return containers.open_gzip(raw, source.bytes, source.name)
    if source.container == "zip":
        return containers.open_member(raw, source.member, source.name)
    assert isinstance(raw, io.BufferedReader)
    return raw


def _in_zip(path: Path, name: str) -> list[Source]:
    found, remarks = containers.members(path, lambda item: PurePosixPath(item).suffix.lower() in READERS, name)
    if not found:
        listed = " ".join(remarks[:3]) or "It is empty."
        raise DataError(f"the archive holds no data file. {listed}", hint=f"It may hold {_kinds()}.", where=name)
    return [
        Source(
            f"{name}:{item}",
            str(path),
            PurePosixPath(item).suffix.lower(),
            "zip",
            item,
            tuple(remarks if item == found[0] else ()),
        )
        for item in found
    ]


def _known(suffix: str, path: Path, name: str) -> str:
    if suffix in READERS:
        return suffix
    if path.suffix.lower() in (".gz", ".gzip"):
        raise DataError(
            f"`{path.name}` does not say what is packed in it",
            hint="Name it by its content, e.g. .jsonl.gz or .csv.gz.",
            where=name,
        )
    hint = _ELSEWHERE.get(path.suffix.lower(), f"Files that are read: {_kinds()}, also as .gz or .zip.")
    raise DataError(f"files ending in `{path.suffix or path.name}` are not read", hint=hint, where=name)


def _kinds() -> str:
    return " ".join(kind for kind in READERS if kind != ".ndjson")


def _not_found(path: Path) -> DataError:
    folder = path.parent
    near = nearest_file(path)
    if near:
        hint = f"Did you mean {folder / near}?"
    elif not folder.is_dir():
        hint = f"There is no folder {folder} either. Paths are relative to {Path.cwd()}."
    else:
        hint = f"Paths are relative to {Path.cwd()}; hub datasets are written hub:owner/name."
    return DataError("there is no such file", hint=hint, where=str(path))
