"""Fragments of documents: collections, documents with what was left out, a page beside its passages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from studio.app.documents import AddedSummary
from studio.app.fragments.parts import badge, details, empty, joined, note, notice, table
from studio.app.fragments.tasks import working
from studio.core.html import Fragments
from studio.core.text import plural, shorten, size
from studio.documents.records import DocumentRecord, Page, Passage, Skipped
from studio.documents.store import Collection
from studio.processes.tasks import Task

_html = Fragments("studio.app", "documents.html")


def collections(items: Sequence[Collection]) -> Markup:
    """The collections, each a link to its documents."""
    if not items:
        return empty("No documents yet", "Drop a PDF, a Word document, a presentation, a web page, or a zip of them.")
    rows: list[Sequence[Any]] = []
    for item in items:
        documents = item.documents
        languages = sorted({document.language for document in documents if document.language})
        rows.append(
            (
                _html("collection_link", item.name, item.title),
                f"{len(documents):,}",
                f"{sum(document.passages for document in documents):,}",
                ", ".join(languages) or "–",
            )
        )
    return table(
        ("Collection", "Documents", "Passages", "Language"), rows, plural(len(items), "collection"), figures=(1, 2), narrow=True
    )


def documents(collection: Collection) -> Markup:
    """The documents of a collection, with what a person should know of each; and the files that were not taken."""
    rows = [
        (
            _html("document_link", collection.name, item.name, item.name),
            f"{item.pages:,}" if item.has_pages else "–",
            f"{item.passages:,}",
            f"{item.tables:,}",
            item.language or "–",
            joined(*_marks(item)),
        )
        for item in collection.documents
    ]
    caption = plural(len(rows), "document")
    shown = table(
        ("Document", "Pages", "Passages", "Tables", "Language", "Remarks"), rows, caption, figures=(1, 2, 3), narrow=True
    )
    return joined(shown, _skipped(collection.record.skipped))


def _marks(item: DocumentRecord) -> list[Markup]:
    marks: list[Markup] = []
    if item.unread:
        marks.append(badge(f"{len(item.unread)} of {plural(item.pages, 'page')} unread scans", "warn"))
    if item.ocr_score is not None:
        marks.append(badge(f"OCR {item.ocr_score:.2f}", "good" if item.ocr_score >= 0.9 else "warn"))
    if item.excluded:
        marks.append(badge(f"{plural(len(item.excluded), 'page')} left out"))
    if not item.passages:
        marks.append(badge("no text", "bad"))
    return marks


def document(item: DocumentRecord) -> Markup:
    """What a document is, what to know of how it was read, and what is in no passage."""
    words = [size(item.bytes), plural(item.pages, "page") if item.has_pages else "", plural(item.passages, "passage")]
    rows = [
        (one.reason, ", ".join(map(str, one.pages[:8])) + (" …" if len(one.pages) > 8 else "") or "–", shorten(one.text, 160))
        for one in item.dropped
    ]
    left_out = table(("Why", "Pages", "Text"), rows, "Text left out", narrow=True) if rows else Markup("")
    return joined(
        note(", ".join(word for word in words if word)),
        _html("remarks", item.remarks),
        details(f"Left out: {plural(len(rows), 'text')}", left_out) if rows else "",
    )


def page(picture: str, item: Page, passages: Sequence[Passage]) -> Markup:
    """A page, as it looks or as its text, beside the passages that begin on it. picture: an address, or nothing."""
    return _html("page", picture, passages, item.text, item.excluded, item.number)


def adding(task: Task | None) -> Markup:
    """How far the reading of documents is, or its error."""
    return working(task, "Reading")


def added(summary: AddedSummary) -> Markup:
    """What was added, and each file that was passed over with the reason."""
    return joined(notice(f"{summary.sentence}.", tone="good"), _skipped(summary.skipped, shown=True))


def _skipped(files: Sequence[Skipped], shown: bool = False) -> Markup:
    listed = table(("File", "Why"), [(item.name, item.reason) for item in files], "Skipped files", narrow=True)
    return details(f"{plural(len(files), 'file')} skipped", listed, shown) if files else Markup("")
