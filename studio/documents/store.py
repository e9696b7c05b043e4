"""Collections of documents below `<home>/documents/<name>/`, a folder for each document.

A document's folder holds its file, `reading.json` (all that was read), `pages.jsonl` and `passages.jsonl` (without what was
left out), and `document.json`. A document that is added again unchanged is not read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from studio.core.errors import DataError, JobError, StudioError
from studio.core.extras import refuse_if_missing
from studio.core.files import folder_aside, need_room, sha256, write_bytes
from studio.core.records import Record, RecordError
from studio.core.text import nearest, plural, slug
from studio.data import language
from studio.data.readers import containers
from studio.documents import contents, isolated, running, sources
from studio.documents.passages import cut
from studio.documents.readers import READERS, ocr
from studio.documents.reading import Reading
from studio.documents.records import CollectionRecord, DocumentRecord, Page, Passage, Skipped
from studio.documents.sources import Source
from studio.processes import locks
from studio.tracking.reporter import Reporter

READER = 2
"""Raised when the readers read better: documents that are added again are then read again."""


@dataclass(frozen=True)
class Collection:
    """Documents that belong together."""

    path: Path
    record: CollectionRecord

    @property
    def name(self) -> str:
        """How the command and recipes name it."""
        return self.path.name

    @property
    def title(self) -> str:
        """What people call it."""
        return self.record.title

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of its documents, as far as they were told."""
        return tuple(sorted({document.language for document in self.documents if document.language}))

    @property
    def documents(self) -> list[DocumentRecord]:
        """Its documents, by name; one whose record cannot be read is not among them."""
        found = []
        for file in self.path.glob("*/document.json"):
            with contextlib.suppress(RecordError, FileNotFoundError):
                if not file.parent.name.startswith("."):
                    found.append(DocumentRecord.read(file))
        return sorted(found, key=lambda item: item.name)

    def document(self, name: str) -> DocumentRecord:
        """A document by its name, or a part of it that no other has. Raises DataError."""
        everything = {item.name: item for item in self.documents}
        if name in everything:
            return everything[name]
        alike = [item for item in everything if name.lower() in item.lower()]
        if len(alike) == 1:
            return everything[alike[0]]
        near = nearest(name, everything)
        hint = (
            f"Several match: {', '.join(alike[:5])}."
            if alike
            else (f"Did you mean {near}?" if near else "studio documents show")
        )
        raise DataError(f"there is no document `{name}` in {self.name}", hint=hint, where=self.name)

    def folder(self, document: str) -> Path:
        """Where a document's files lie."""
        return self.path / hashlib.sha256(document.encode()).hexdigest()[:16]

    def file(self, document: DocumentRecord) -> Path:
        """The document itself, as it was given."""
        return self.folder(document.name) / f"file{document.kind}"

    def pages(self, document: str) -> list[Page]:
        """The pages of a document."""
        return Page.read_lines(self.folder(document) / "pages.jsonl")

    def passages(self, document: str = "") -> Iterator[Passage]:
        """The passages of a document, or of all of them in order of their names."""
        for name in [document] if document else [item.name for item in self.documents]:
            yield from Passage.read_lines(self.folder(name) / "passages.jsonl")

    def passage_ids(self, document: str) -> set[str]:
        """The ids of the passages of a document; of one it has not, none."""
        return {passage.id for passage in self.passages(document)} if self.folder(document).exists() else set()


@dataclass
class Added:
    """What adding documents did. Counts of passages compare with what the documents had before."""

    collection: Collection
    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    passages_new: int = 0
    passages_same: int = 0
    passages_gone: int = 0

    def count(self, before: set[str], now: set[str]) -> None:
        """Count the passages of a document, by their ids."""
        self.passages_new += len(now - before)
        self.passages_same += len(now & before)
        self.passages_gone += len(before - now)

    @property
    def summary(self) -> str:
        """One sentence."""
        return (
            f"{self.collection.name}: {len(self.new)} new, {len(self.changed)} changed, {len(self.unchanged)} unchanged; "
            f"{plural(self.passages_new, 'new passage')}, {self.passages_same:,} unchanged, {self.passages_gone:,} removed"
        )


def collections(home: Path) -> list[Collection]:
    """All collections, by name; one whose record cannot be read is not among them."""
    found = []
    for file in sorted((home / "documents").glob("*/collection.json")):
        with contextlib.suppress(StudioError, FileNotFoundError):
            found.append(Collection(file.parent, CollectionRecord.read(file)))
    return found


def find(home: Path, name: str) -> Collection:
    """The collection of that name or title. Raises DataError that says which there are."""
    known = {item.name: item for item in collections(home)}
    wanted = slug(name.removeprefix("documents:"))
    if wanted in known:
        return known[wanted]
    there = f"Collections: {', '.join(list(known)[:8])}." if known else "Add one: studio documents add FILE… --name NAME"
    raise DataError(
        f"there is no document collection `{name}`",
        hint=f"Did you mean {near}?" if (near := nearest(wanted, known)) else there,
        where=str(home / "documents"),
    )


def add(home: Path, title: str, inputs: Iterable[tuple[str, Path]], reporter: Reporter) -> Added:
    """Take documents into the collection called `title`: files, folders and zip archives as (name, path).

    Reads what is new or changed. A document that cannot be read is passed over with the reason, unless nothing else was given.
    Raises DataError, HardwareError, Stopped.
    """
    title = " ".join(title.split())
    if not title:
        raise DataError("the collection has no name", hint="Name it: --name handbook", where="--name")
    folder = home / "documents" / slug(title)
    with sources.find(inputs) as found, _writer(folder), isolated.Apart() as apart:
        if not found.documents:
            reason = f" {found.skipped[0].name}: {found.skipped[0].reason}" if found.skipped else ""
            raise DataError(f"no documents to add.{reason}", hint="Supported: .pdf, .docx, .pptx, .html, .md, .epub, .txt.")
        need_room(folder, 2 * sum(source.path.stat().st_size for source in found.documents), "the documents")
        added = Added(_collection(folder, title), skipped=found.skipped)
        before = {source.name: added.collection.passage_ids(source.name) for source in found.documents}
        first: StudioError | None = None
        for position, source in enumerate(found.documents):
            reporter.progress(position, len(found.documents), f"Reading {source.name}")
            try:
                _add(added, source, apart, reporter)
            except DataError as problem:
                first = first or problem
                added.skipped.append(Skipped.of(source.name, problem))
        if first and not (added.new or added.changed or added.unchanged):
            if not added.collection.documents:
                shutil.rmtree(folder, ignore_errors=True)
            raise first
        record = _without_running(added.collection).model_copy(update={"skipped": tuple(added.skipped)})
        record.write(folder / "collection.json")
        added.collection = Collection(folder, record)
        for name in (*added.new, *added.changed, *added.unchanged):
            added.count(before[name], added.collection.passage_ids(name))
    return added


def exclude(home: Path, name: str, document: str, pages: Sequence[int]) -> DocumentRecord:
    """Leave out exactly these pages of a document. Nothing is read again. Raises DataError for pages it has not."""
    collection = find(home, name)
    with _writer(collection.path):
        record = collection.document(document)
        if wrong := sorted(set(pages) - set(range(1, record.pages + 1))):
            raise DataError(
                f"there is no page {wrong[0]}",
                hint=f"The document has {plural(record.pages, 'page')}.",
                where=f"{name}: {record.name}",
            )
        folder = collection.folder(record.name)
        record = record.model_copy(update={"excluded": tuple(sorted(set(pages)))})
        return _write(folder, record, Reading.read(folder / "reading.json"), collection.record.running)


def remove(home: Path, name: str, document: str = "") -> None:
    """Remove a document, or the whole collection. Raises DataError."""
    collection = find(home, name)
    with _writer(collection.path):
        gone = collection.folder(collection.document(document).name) if document else collection.path
        aside = gone.with_name(f".deleted-{gone.name}")
        gone.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _add(added: Added, source: Source, apart: isolated.Apart, reporter: Reporter) -> None:
    collection = added.collection
    folder = collection.folder(source.name)
    digest = sha256(source.path)
    before = DocumentRecord.read(folder / "document.json") if (folder / "document.json").exists() else None
    scans_wait = before is not None and bool(before.unread) and before.ocr_score is None and ocr.available()
    if before and before.sha256 == digest and before.reader == READER and not scans_wait:
        added.unchanged.append(source.name)
        return
    twin = next((item.name for item in collection.documents if item.sha256 == digest and item.name != source.name), "")
    if twin and not before:
        raise DataError(f"it is the same file as {twin}", hint="One of them is enough.", where=source.name)
    containers.refuse_pointer(source.path, source.name)
    suffix = Path(source.name).suffix.lower()
    reader = READERS[suffix]
    refuse_if_missing(f"reading {suffix}", "documents", reader.packages, DataError)
    contents.check(source.path, source.name)
    reading = (apart.read if reader.isolated else reader.read)(source.path, source.name, reporter)
    record = DocumentRecord(
        name=source.name,
        kind=suffix,
        sha256=digest,
        bytes=source.path.stat().st_size,
        reader=READER,
        excluded=before.excluded if before and before.sha256 == digest else (),
    )
    with folder_aside(folder) as aside:
        shutil.copyfile(source.path, aside / f"file{suffix}")
        reading.write(aside / "reading.json")
        _write(aside, record, reading, collection.record.running)
    (added.changed if before else added.new).append(source.name)


def _without_running(collection: Collection) -> CollectionRecord:
    """Cut those documents again for which what most documents repeat is now another, and give the record that names it."""
    read: list[tuple[DocumentRecord, Reading]] = []
    for record in (item for item in collection.documents if item.kind == ".pdf"):
        with contextlib.suppress(RecordError, FileNotFoundError):
            read.append((record, Reading.read(collection.folder(record.name) / "reading.json")))
    old, new = set(collection.record.running), running.repeated(reading for _, reading in read)
    for record, reading in read:
        if running.is_short(reading) and running.edges(reading) & (old ^ set(new)):
            _write(collection.folder(record.name), record, reading, new)
    return collection.record.model_copy(update={"running": new})


def _write(folder: Path, record: DocumentRecord, reading: Reading, repeated: Sequence[str]) -> DocumentRecord:
    """Cut a document into passages, and write them with its record. repeated: what its collection's documents repeat."""
    reading = running.without(reading, repeated)
    made = cut(record.name, reading, record.excluded)
    scans = tuple(page.number for page in reading.pages if page.scan)
    unread = tuple(page.number for page in reading.pages if page.scan and not page.blocks)
    scores = [page.ocr_score for page in reading.pages if page.ocr_score is not None and page.blocks]
    remarks = reading.remarks
    if not made.passages:
        remarks = (*remarks, "The document contains no text." if not record.excluded else "All of its text is left out.")
    record = record.model_copy(
        update={
            "title": reading.title or Path(record.name).stem,
            "pages": len(reading.pages),
            "has_pages": reading.has_pages,
            "scans": scans,
            "unread": unread,
            "ocr_score": round(sum(scores) / len(scores), 3) if scores else None,
            "tables": sum(page.tables for page in made.pages),
            "characters": len(made.text),
            "passages": len(made.passages),
            "language": language.of_most([passage.text for passage in made.passages[:200]]),
            "dropped": made.dropped,
            "remarks": remarks,
        }
    )
    _write_lines(folder / "pages.jsonl", made.pages)
    _write_lines(folder / "passages.jsonl", made.passages)
    record.write(folder / "document.json")
    return record


def _write_lines(path: Path, records: Sequence[Record]) -> None:
    import orjson

    write_bytes(path, b"".join(orjson.dumps(record.as_line(), option=orjson.OPT_APPEND_NEWLINE) for record in records))


def _collection(folder: Path, title: str) -> Collection:
    file = folder / "collection.json"
    if file.exists():
        return Collection(folder, CollectionRecord.read(file))
    record = CollectionRecord(title=title, created=time.time())
    record.write(file)
    return Collection(folder, record)


@contextlib.contextmanager
def _writer(folder: Path) -> Iterator[None]:
    """The right to write into a collection, for one process at a time. Raises JobError."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locks.hold(folder / ".lock", locks.within(30)):
            yield
    except locks.LockHeld:
        raise JobError(
            "another process is adding to this collection", hint="Wait until it has finished, and try again.", where=folder.name
        ) from None
