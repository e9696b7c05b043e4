"""Fragments of indexes: the list, and what a search found."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from studio.app.fragments.parts import empty, joined, note, table, when
from studio.app.indexes import Index, advice
from studio.core.html import Fragments
from studio.core.text import plural
from studio.retrieval.records import Hit

_html = Fragments("studio.app", "retrieval.html")


def indexes(items: Sequence[Index]) -> Markup:
    """The indexes and how each is searched."""
    if not items:
        return empty("No index yet", "Choose documents above. An index answers questions from their passages, with citations.")
    rows = [
        (
            item.record.name,
            ", ".join(item.record.collections),
            f"{item.record.passages:,}",
            f"words and {item.record.embedder.name}" if item.record.embedder else "words",
            item.record.store,
            when(item.record.created),
        )
        for item in items
    ]
    columns = ("Index", "Documents", "Passages", "Searched by", "Store", "Built")
    told = [note(f"{item.record.name}: {words}") for item in items if (words := advice(item))]
    return joined(table(columns, rows, plural(len(rows), "index", "indexes"), figures=(2,), narrow=True), *told)


def hits(hits: Sequence[Hit]) -> Markup:
    """Passages, best first, with document, page and rank."""
    if not hits:
        return note("No passage matches.")
    return _html("hits", [(hit, _ranks(hit)) for hit in hits])


def _ranks(hit: Hit) -> str:
    ranks = (("words", hit.rank_words), ("meaning", hit.rank_meaning))
    return ", ".join(f"{name} #{rank}" for name, rank in ranks if rank)
