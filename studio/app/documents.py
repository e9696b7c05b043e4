"""Use cases of documents: take them in, look at their pages and passages, leave pages out, export passages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from studio.core.errors import DataError
from studio.core.files import make_home, studio_home, write_text
from studio.documents import store
from studio.documents.records import DocumentRecord, Page, Passage, Skipped
from studio.documents.store import Added, Collection
from studio.processes import tasks
from studio.processes.tasks import Task
from studio.tracking.reporter import Reporter, Silent

__all__ = ["Added", "Collection", "DocumentRecord", "Page", "Passage"]

SUFFIXES = (".pdf", ".docx", ".pptx", ".html", ".htm", ".md", ".epub", ".txt", ".zip")
"""Endings of what a person may give."""


def add_documents(name: str, *files: str | Path, home: str | Path | None = None, reporter: Reporter | None = None) -> Added:
    """Take documents, folders and zip archives into the collection called `name`; what is unchanged is not read again.

    Raises DataError for what is refused, HardwareError if the disk has no space.
    """
    given = [(Path(file).name, Path(file).expanduser()) for file in files]
    return store.add(make_home(studio_home(home)), name, given, reporter or Silent())


def collections(home: str | Path | None = None) -> list[Collection]:
    """All collections, by name."""
    return store.collections(studio_home(home))


def find(name: str, home: str | Path | None = None) -> Collection:
    """The collection of that name. Raises DataError."""
    return store.find(studio_home(home), name)


def exclude(name: str, document: str, pages: Sequence[int], home: str | Path | None = None) -> DocumentRecord:
    """Leave out exactly these pages of a document; nothing is read again. Raises DataError."""
    return store.exclude(studio_home(home), name, document, pages)


def remove(name: str, document: str = "", home: str | Path | None = None) -> None:
    """Remove a document, or the whole collection. Raises DataError."""
    store.remove(studio_home(home), name, document)


def pages_of(text: str) -> list[int]:
    """Page numbers as people write them: `3, 5-7`. Raises DataError."""
    found: set[int] = set()
    for part in text.replace(";", ",").split(","):
        first, _, last = part.strip().replace("–", "-").partition("-")
        if not first and not last:
            continue
        if not first.strip().isdigit() or not (last or first).strip().isdigit() or int(first) > int(last or first):
            raise DataError(f"`{part.strip()}` is not a page or a range of pages", hint="Write pages as 3, 5-7.", where="pages")
        found.update(range(int(first), int(last or first) + 1))
    return sorted(found)


def export(name: str, out: Path, document: str = "", text_only: bool = False, home: str | Path | None = None) -> int:
    """Write passages as JSON lines; how many. text_only: only their text, as rows to train on. Raises DataError."""
    collection = find(name, home)
    chosen = collection.document(document).name if document else ""
    lines = [
        json.dumps({"text": passage.text} if text_only else passage.as_line(), ensure_ascii=False)
        for passage in collection.passages(chosen)
    ]
    if not lines:
        raise DataError("there are no passages", hint="Add documents with text in them.", where=collection.name)
    write_text(out, "\n".join(lines) + "\n")
    return len(lines)


def as_dict(item: Collection | DocumentRecord | Added) -> dict[str, object]:
    """As plain values, for `--json`."""
    if isinstance(item, DocumentRecord):
        return item.model_dump(mode="json")
    if isinstance(item, Added):
        counts = {name: value for name, value in asdict(item).items() if name not in ("collection", "skipped")}
        return {
            "name": item.collection.name,
            "summary": item.summary,
            **counts,
            "skipped": [one.model_dump() for one in item.skipped],
            "documents": [as_dict(one) for one in item.collection.documents],
        }
    documents = item.documents
    return {
        "name": item.name,
        "title": item.title,
        "created": item.record.created,
        "documents": len(documents),
        "pages": sum(document.pages for document in documents),
        "passages": sum(document.passages for document in documents),
        "languages": list(item.languages),
        "skipped": [one.model_dump() for one in item.record.skipped],
    }


# -- for the page, which reads no documents in its own process -----------------------------------------------------------


def begin_adding(home: Path, title: str, files: Iterable[Path]) -> Task:
    """Begin to read documents, in a process that outlives the page. Raises JobError while another is being read."""
    folder = home / "documents" / ".tasks"
    arguments = ["documents", "add", *(str(file) for file in files), "--name", title]
    return tasks.begin(folder, "documents", "add", arguments, home)


def adding(home: Path) -> Task | None:
    """The process that reads documents, if one was begun."""
    return tasks.task(home / "documents" / ".tasks", "documents", "add")


@dataclass(frozen=True)
class AddedSummary:
    """What a process that read documents says of them, and what it passed over."""

    sentence: str
    skipped: tuple[Skipped, ...] = ()


def added(home: Path) -> AddedSummary:
    """What the process that has read documents said."""
    printed = tasks.document(home / "documents" / ".tasks", "documents", "add")
    return AddedSummary(printed["summary"], tuple(Skipped.model_validate(one) for one in printed["skipped"]))


def forget_adding(home: Path) -> None:
    """Forget the process that read documents, and end it if it still does."""
    tasks.stop(home / "documents" / ".tasks", "documents", "add")


def picture(collection: Collection, document: DocumentRecord, number: int, home: Path) -> Path | None:
    """A page of a PDF as a PNG, drawn by a process of its own the first time; None for other documents."""
    from studio.processes.command import run_json

    if document.kind != ".pdf" or not 1 <= number <= document.pages:
        return None
    file = collection.folder(document.name) / "pictures" / f"{number}.png"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        run_json(
            ["documents", "picture", collection.name, document.name, "--page", str(number), "--out", str(file)], home, good=(0,)
        )
    return file


def draw(name: str, document: str, number: int, out: Path, home: str | Path | None = None) -> None:
    """Draw a page of a PDF into a PNG. Raises DataError."""
    from studio.documents.readers import pdf

    collection = find(name, home)
    record = collection.document(document)
    if record.kind != ".pdf":
        raise DataError("only pages of a PDF can be rendered", hint="Read its text instead.", where=record.name)
    pdf.draw(collection.file(record), number, out)
