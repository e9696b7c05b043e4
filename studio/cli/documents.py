"""`studio documents`: PDF, Word, slides, web pages, books and text as passages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studio.cli import show
from studio.cli.options import Home, Json
from studio.cli.progress import reporting
from studio.core.errors import DataError
from studio.core.text import plural, shorten, size

if TYPE_CHECKING:
    from studio.app.documents import Collection, DocumentRecord

app = typer.Typer(help="Turn documents into passages.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A collection of documents.")]
Document = Annotated[str, typer.Argument(metavar="DOCUMENT", help="A document's name, or a unique part of it.")]
Which = Annotated[str, typer.Option("--document", metavar="DOCUMENT", help="Only this document.")]


@app.command()
def add(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Documents, folders of them, or zip archives.", show_default=False)
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the collection.")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Add documents to a collection. Unchanged documents are not read again."""
    from studio.app import documents

    with reporting(json) as reporter:
        added = documents.add_documents(name, *files, home=home, reporter=reporter)
    if json:
        show.as_json(documents.as_dict(added))
        return
    fresh = set(added.new + added.changed)
    for document in added.collection.documents:
        if document.name in fresh:
            _document(document)
    for skipped in added.skipped:
        show.say(f"skipped: {skipped.name}: {skipped.reason}", "yellow")
    show.say(added.summary, "bold")


@app.command("list")
def list_(home: Home = None, json: Json = False) -> None:
    """List the collections."""
    from studio.app import documents

    found = documents.collections(home)
    show.damages(home, "documents")
    if json:
        show.as_json([documents.as_dict(item) for item in found])
        return
    rows = [_row(item) for item in found]
    show.table(("collection", "title", "documents", "pages", "passages", "language"), rows, right=(2, 3, 4))
    if not found:
        show.say("There are no documents yet. Add some: studio documents add FILE… --name NAME")


@app.command("show")
def show_(
    name: Name,
    document: Which = "",
    page: Annotated[int | None, typer.Option("--page", min=1, help="Only passages that begin on this page.")] = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="Maximum number of passages shown.")] = 5,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show the documents of a collection, or the passages of one document and what was left out of it."""
    from studio.app import documents

    collection = documents.find(name, home)
    if not document:
        if json:
            show.as_json({**documents.as_dict(collection), "documents": [documents.as_dict(d) for d in collection.documents]})
            return
        for item in collection.documents:
            _document(item)
        for skipped in collection.record.skipped:
            show.say(f"skipped: {skipped.name}: {skipped.reason}", "yellow")
        return
    record = collection.document(document)
    if page is not None and page > record.pages:
        raise DataError(
            f"it has no page {page}", hint=f"It has {plural(record.pages, 'page')}.", where=f"{name}: {record.name}"
        )
    passages = [item for item in collection.passages(record.name) if page is None or item.page == page]
    if json:
        show.as_json({**documents.as_dict(record), "passages": [item.as_line() for item in passages]})
        return
    _document(record)
    for item in record.dropped:
        on = f" (page {', '.join(map(str, item.pages[:6]))}{' …' if len(item.pages) > 6 else ''})" if item.pages else ""
        show.say(f"  left out, {item.reason}{on}: {shorten(item.text, 90)}")
    for item in passages[:most]:
        show.heading(f"{item.id}  {'page ' + str(item.page) if item.page else ''}  {' › '.join(item.heading_path)}")
        show.say(item.text)
    if len(passages) > most:
        show.say(f"… and {plural(len(passages) - most, 'passage')} more: --limit, --page")


@app.command()
def exclude(
    name: Name,
    document: Document,
    pages: Annotated[
        str, typer.Option("--pages", metavar="PAGES", help="For example 3, 5-7; an empty value includes all pages again.")
    ],
    home: Home = None,
    json: Json = False,
) -> None:
    """Set which pages of a document are left out. The document is not read again."""
    from studio.app import documents

    record = documents.exclude(name, document, documents.pages_of(pages), home)
    show.as_json(documents.as_dict(record)) if json else _document(record)


@app.command()
def export(
    name: Name,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Output file, one JSON object per line.")],
    document: Which = "",
    text_only: Annotated[bool, typer.Option("--text-only", help="Write only `text`: rows for training on plain text.")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Write the passages as JSON lines."""
    from studio.app import documents

    count = documents.export(name, out, document, text_only, home)
    show.as_json({"file": str(out), "passages": count}) if json else show.say(f"{plural(count, 'passage')} in {out}")


@app.command()
def delete(
    name: Name,
    document: Which = "",
    home: Home = None,
    json: Json = False,
) -> None:
    """Remove a document, or a whole collection."""
    from studio.app import documents

    documents.remove(name, document, home)
    show.as_json({"deleted": document or name}) if json else show.say(f"{document or name} was removed.")


@app.command()
def picture(
    name: Name,
    document: Document,
    page: Annotated[int, typer.Option("--page", min=1, help="The page.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Output file (PNG).")],
    home: Home = None,
    json: Json = False,
) -> None:
    """Render a page of a PDF as PNG, to compare it with its text."""
    from studio.app import documents

    documents.draw(name, document, page, out, home)
    show.as_json({"file": str(out)}) if json else show.say(str(out))


def _row(item: Collection) -> tuple[str, ...]:
    from studio.app import documents

    values = documents.as_dict(item)
    counts = (f"{values[key]:,}" for key in ("documents", "pages", "passages"))
    return item.name, item.title, *counts, ", ".join(item.languages) or "–"


def _document(record: DocumentRecord) -> None:
    pages = f", {plural(record.pages, 'page')}" if record.has_pages else ""
    tables = f", {plural(record.tables, 'table')}" if record.tables else ""
    tongue = f", {record.language}" if record.language else ""
    show.say(f"{record.name}: {size(record.bytes)}{pages}, {plural(record.passages, 'passage')}{tables}{tongue}", "bold")
    if record.excluded:
        show.say(f"  pages left out: {', '.join(map(str, record.excluded))}")
    for remark in record.remarks:
        show.say(f"  {remark}")
    reasons = dict.fromkeys(item.reason for item in record.dropped)
    if reasons:
        show.say(f"  not in the passages: {', '.join(reasons)}")
