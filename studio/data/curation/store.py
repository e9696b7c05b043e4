"""Datasets in numbered versions below `<home>/datasets/<name>/<id>/`. A version is never changed, and no number is given twice.

A version comes from uploaded files or from the edits of another version. Its id is the beginning of its content's hash,
so that the same content is the same version; people call it v1, v2, and a spec `dataset:NAME@2`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from studio.core.errors import DataError, JobError
from studio.core.files import bytes_in, folder_aside, sha256
from studio.core.records import Record, RecordError
from studio.core.text import nearest, size
from studio.data.collected import CollectedRows
from studio.data.made_rows import MadeRows
from studio.data.settings import Data, ReadAs
from studio.processes import locks

PREFIX = "dataset:"
"""How a spec begins the name of a dataset in the library."""
_NAME = re.compile(r"dataset:(?P<name>[a-z0-9-]+)(@v?(?P<number>[1-9]\d*))?")


class VersionRecord(Record):
    """`dataset.json`: what a version is, beside its files."""

    label: ClassVar[str] = "dataset version"
    remedy: ClassVar[str] = "Remove its folder, and upload the files again."

    created: float
    settings: ReadAs = Field(default_factory=ReadAs)
    """How it is read: `format`, `columns` and so on as in a spec's data section."""
    number: int = 0
    """0 in versions that were written before versions had numbers."""
    sha256: str = ""
    parent: str = ""
    """The id of the version whose edits made it; empty for uploaded files."""
    edits: int = 0
    rows: int = 0
    """Rows it holds, where that was counted."""
    who: str = ""
    why: str = ""
    made: MadeRows | None = None
    """Where its rows come from, if a model wrote them."""
    collected: CollectedRows | None = None
    """Where its rows come from, if people made them of a model's answers."""


class DatasetRecord(Record):
    """`title.json`: what a dataset is called, and the number its next version gets."""

    label: ClassVar[str] = "dataset"
    remedy: ClassVar[str] = "Remove the file; the dataset is then called by its folder's name."

    title: str
    next_number: int = 1


@dataclass(frozen=True, repr=False)
class DatasetVersion:
    """One version of a dataset in the library."""

    path: Path
    title: str
    number: int
    record: VersionRecord
    bytes: int

    def __repr__(self) -> str:
        return f"<{self.reference}: {self.title}, {size(self.bytes)}>"

    @property
    def name(self) -> str:
        """Its dataset's folder, which stays when the title changes."""
        return self.path.parent.name

    @property
    def version(self) -> str:
        """Its id: the beginning of its content's hash."""
        return self.path.name

    @property
    def key(self) -> str:
        """`name/id`, which names it in forms and links."""
        return f"{self.name}/{self.version}"

    @property
    def reference(self) -> str:
        """How a spec names it: `dataset:NAME@3`."""
        return f"{PREFIX}{self.name}@{self.number}"

    @property
    def created(self) -> float:
        """When it was made, in seconds since the epoch."""
        return self.record.created

    @property
    def settings(self) -> ReadAs:
        """How it is read, as in a spec's data section."""
        return self.record.settings

    @property
    def sha256(self) -> str:
        """The hash of its content; of versions without one the beginning of it."""
        return self.record.sha256 or self.version

    @property
    def files(self) -> tuple[str, ...]:
        """Its files, in full."""
        return tuple(str(file) for file in sorted((self.path / "files").iterdir()))

    @property
    def data(self) -> Data:
        """The settings that read it as a whole."""
        return Data.model_validate({"train": list(self.files), "holdout": 0.0, **self.settings})


def versions(home: Path) -> list[DatasetVersion]:
    """Every version of every dataset, newest first; one whose record cannot be read is not among them."""
    found: list[DatasetVersion] = []
    for folder in (home / "datasets").glob("*"):
        if folder.is_dir() and not folder.name.startswith("."):
            found += versions_of(folder)
    return sorted(found, key=lambda item: (item.created, item.number), reverse=True)


def versions_of(folder: Path) -> list[DatasetVersion]:
    """The versions in a dataset's folder, oldest first. Those without a number count first, by their age."""
    about = _about(folder)
    records: list[tuple[Path, VersionRecord]] = []
    for file in folder.glob("*/dataset.json"):
        with contextlib.suppress(RecordError, FileNotFoundError):
            if not file.parent.name.startswith(".") and (file.parent / "files").is_dir():
                records.append((file.parent, VersionRecord.read(file)))
    records.sort(key=lambda item: (item[1].number or 0, item[1].created, item[0].name))
    return [
        DatasetVersion(path, about.title, record.number or position, record, bytes_in(path / "files"))
        for position, (path, record) in enumerate(records, 1)
    ]


def find(home: Path, key: str) -> DatasetVersion:
    """The version `name/id`. Raises DataError."""
    for item in versions(home):
        if item.key == key:
            return item
    raise DataError("this dataset is not in the library", hint="Choose one from the list, or upload it.", where=key)


def is_reference(name: str) -> bool:
    """Whether a spec names a dataset of the library so."""
    return name.startswith(PREFIX)


def reference_of(home: Path, name: str) -> str | None:
    """The dataset that a command's FILE means, as `dataset:NAME`: it says so, or no file has this name and a dataset does."""
    if is_reference(name):
        return name
    matched = _NAME.fullmatch(PREFIX + name)
    return PREFIX + name if matched and not Path(name).exists() and (home / "datasets" / matched["name"]).is_dir() else None


def named(home: Path, reference: str, where: str = "") -> DatasetVersion:
    """The version `dataset:NAME@3`, or the newest of `dataset:NAME`. Raises DataError that says which there are."""
    matched = _NAME.fullmatch(reference)
    if matched is None:
        raise DataError(
            f"`{reference}` is not the name of a dataset version", hint="Write dataset:NAME or dataset:NAME@3.", where=where
        )
    name, number = matched["name"], int(matched["number"] or 0)
    all_versions = versions_of(home / "datasets" / name)
    if not all_versions:
        known = sorted({item.name for item in versions(home)})
        near = nearest(name, known)
        there = f"The library has {', '.join(known[:8])}." if known else "The library is empty."
        raise DataError(
            f"there is no dataset `{name}` in the library",
            hint=f"Did you mean dataset:{near}?" if near else there,
            where=where or str(home / "datasets"),
        )
    chosen = next((item for item in all_versions if item.number == number), None) if number else all_versions[-1]
    if chosen is None:
        gone = number < _about(home / "datasets" / name).next_number
        there = ", ".join(f"v{item.number}" for item in all_versions)
        raise DataError(
            f"version {number} of dataset `{name}` {'was deleted' if gone else 'does not exist'}",
            hint=f"It has {there}: write {all_versions[-1].reference}.",
            where=where or reference,
        )
    return chosen


def content_hash(files: list[tuple[str, Path]]) -> str:
    """SHA-256 over the names and contents of uploaded files."""
    content = json.dumps(sorted((name, sha256(path)) for name, path in files))
    return hashlib.sha256(content.encode()).hexdigest()


def add_version(
    folder: Path, title: str, digest: str, record: VersionRecord, fill: Callable[[Path, int], None]
) -> DatasetVersion:
    """A new version with the content `digest`, or the version that has it already.

    fill: writes the version's files into the folder it is given, knowing the version's number. It appears whole or not at all.
    """
    with writer(folder):
        _number_old_ones(folder)
        about = _about(folder, title)
        path = folder / digest[:12]
        present = next((item for item in versions_of(folder) if item.path == path), None)
        if present:
            return present
        number = about.next_number
        DatasetRecord(title=about.title, next_number=number + 1).write(folder / "title.json")  # first: no number comes twice
        with folder_aside(path) as aside:
            fill(aside, number)
            record.model_copy(update={"number": number, "sha256": digest, "created": time.time()}).write(aside / "dataset.json")
        return next(item for item in versions_of(folder) if item.path == path)


def keep_settings(item: DatasetVersion, settings: ReadAs) -> DatasetVersion:
    """Remember how a version is to be read."""
    with writer(item.path.parent):
        record = VersionRecord.read(item.path / "dataset.json").model_copy(update={"settings": settings})
        record.write(item.path / "dataset.json")
    return DatasetVersion(item.path, item.title, item.number, record, item.bytes)


def rename(item: DatasetVersion, title: str) -> DatasetVersion:
    """Give a dataset another title; its name stays."""
    folder = item.path.parent
    with writer(folder):
        _about(folder).model_copy(update={"title": title}).write(folder / "title.json")
    return DatasetVersion(item.path, title, item.number, item.record, item.bytes)


def delete(item: DatasetVersion) -> int:
    """Remove a version; the bytes that were freed. Its number is not given again, also when the dataset is gone."""
    folder = item.path.parent
    freed = bytes_in(item.path)
    with writer(folder):
        _number_old_ones(folder)
        gone = item.path.with_name(f".deleted-{item.version}")
        item.path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        last = not versions_of(folder)
        if last:
            _about(folder).write(_retired(folder))
    if last:
        shutil.rmtree(folder, ignore_errors=True)
    return freed


@contextlib.contextmanager
def writer(folder: Path) -> Generator[None]:
    """The right to write into a dataset, for one process at a time. Raises JobError."""
    try:
        with locks.hold(folder / ".lock", locks.within(30)):
            yield
    except locks.LockHeld:
        raise JobError(
            "another process is writing this dataset", hint="Wait for it to end, and try again.", where=folder.name
        ) from None


def _number_old_ones(folder: Path) -> None:
    """Write down the numbers of versions that have none, before anything changes what they count."""
    items = versions_of(folder)
    for item in items:
        if not item.record.number:
            item.record.model_copy(update={"number": item.number}).write(item.path / "dataset.json")
    about = _about(folder)
    if items and about.next_number <= items[-1].number:
        about.model_copy(update={"next_number": items[-1].number + 1}).write(folder / "title.json")


def _about(folder: Path, title: str = "") -> DatasetRecord:
    with contextlib.suppress(FileNotFoundError, RecordError):
        return DatasetRecord.read(folder / "title.json")
    with contextlib.suppress(FileNotFoundError, RecordError):  # a dataset of this name that was deleted
        return DatasetRecord.read(_retired(folder)).model_copy(update={"title": title or folder.name})
    return DatasetRecord(title=title or folder.name)


def _retired(folder: Path) -> Path:
    """Where the last number of a deleted dataset is kept, so that no spec's `NAME@3` ever means other rows."""
    return folder.parent / ".deleted" / f"{folder.name}.json"
