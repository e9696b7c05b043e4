"""The documents in files, folders and zip archives that a person gives; what is not one is listed with the reason."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from studio.core.errors import DataError, StudioError
from studio.core.files import need_room
from studio.core.text import printable, size
from studio.data.readers import containers
from studio.documents.readers import ELSEWHERE, is_read
from studio.documents.records import Skipped

MOST = 5_000
"""Documents of one collection."""
UNPACKED = 4 << 30
"""Bytes that the documents of an archive may unpack to."""


@dataclass(frozen=True)
class Source:
    """A document: what it is called in its collection, and where its file lies now."""

    name: str
    path: Path


@dataclass
class FoundDocuments:
    """Documents, and what was passed over."""

    documents: list[Source] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def add(self, name: str, path: Path, within: str) -> None:
        """One more document, named apart from another of the same name, and so that its name is one line."""
        name = " ".join(printable(name).split())
        if name in {source.name for source in self.documents}:
            name = f"{within}/{name}"
        self.documents.append(Source(name, path))


@contextlib.contextmanager
def find(inputs: Iterable[tuple[str, Path]]) -> Iterator[FoundDocuments]:
    """The documents in what was given as (name, path); those of archives lie unpacked while the block runs.

    Raises DataError for a path that is not there, and for a file that is no document and an archive that is unsafe where
    nothing else was given; among others they are passed over.
    """
    found, every = FoundDocuments(), list(inputs)
    with tempfile.TemporaryDirectory(prefix="studio-documents-") as folder:
        for position, (name, path) in enumerate(every):
            try:
                _take(name, path, Path(folder) / str(position), found)
            except DataError as error:
                if len(every) == 1 or not path.exists():
                    raise
                found.skipped.append(Skipped.of(name, error))
        if len(found.documents) > MOST:
            raise DataError(
                f"{len(found.documents):,} documents exceed the limit of {MOST:,}", hint="Split them into several collections."
            )
        yield found


def _take(name: str, path: Path, aside: Path, sources: FoundDocuments) -> None:
    if path.is_dir():
        _in_folder(path, sources)
    elif not path.is_file():
        raise DataError("there is no such file", hint="Name documents, folders, or zip archives.", where=str(path))
    elif path.suffix.lower() == ".zip":
        _in_zip(path, name, aside, sources)
    elif is_read(name):
        sources.add(name, path, path.parent.name)
    else:
        raise _not_read(name)


def _in_folder(folder: Path, documents: FoundDocuments) -> None:
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if any(part.startswith((".", "~$")) or part == "__MACOSX" for part in PurePosixPath(name).parts):
            continue
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            documents.skipped.append(Skipped(name=name, reason="it is a link to a path outside the folder"))
        elif path.is_file():
            if path.suffix.lower() == ".zip":
                documents.skipped.append(
                    Skipped(name=name, reason="an archive inside a folder is not opened; add it separately")
                )
            elif is_read(name):
                documents.add(name, path, folder.name)
            else:
                documents.skipped.append(Skipped(name=name, reason=_why_not(name)))


def _in_zip(path: Path, name: str, aside: Path, documents: FoundDocuments) -> None:
    entries = containers.safe_entries(path, name)
    room = sum(entry.file_size for entry in entries)
    if room > UNPACKED:
        raise DataError(f"it unpacks to {size(room)}, more than {size(UNPACKED)}", hint="Split it.", where=name)
    need_room(Path(tempfile.gettempdir()), room, f"Unpacking {name}")
    aside.mkdir()
    for number, member in enumerate(sorted(entry.filename for entry in entries)):
        if not is_read(member):
            documents.skipped.append(Skipped(name=member, reason=_why_not(member)))
            continue
        file = aside / f"{number}{PurePosixPath(member).suffix.lower()}"
        with (
            open(path, "rb") as raw,
            containers.open_member(raw, member, f"{name}:{member}") as stream,
            open(file, "xb") as out,
        ):
            shutil.copyfileobj(stream, out, 1 << 20)
        documents.add(member, file, Path(name).stem)


def _why_not(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    return f"files ending in `{suffix or name}` are not read. {ELSEWHERE.get(suffix, '')}".strip()


def _not_read(name: str) -> StudioError:
    suffix = PurePosixPath(name).suffix.lower()
    hint = ELSEWHERE.get(
        suffix, "Supported: .pdf, .docx, .pptx, .html, .md, .epub, .txt, and folders or .zip archives of them."
    )
    return DataError(f"files ending in `{suffix or name}` are not read as documents", hint=hint, where=name)
