"""Use cases of retrieval: build an index of document collections, search it, measure how well it finds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.app import question_files
from studio.comparison.questions import refuses
from studio.core.errors import DataError, SpecError
from studio.core.files import make_home, studio_home, write_text
from studio.retrieval import grounding, stores
from studio.retrieval import index as retrieval
from studio.retrieval import measure as measuring
from studio.retrieval.index import Index
from studio.retrieval.measure import Measurement
from studio.retrieval.records import Hit, Mode
from studio.tracking.reporter import Reporter, Silent

__all__ = ["Hit", "Index", "Measurement", "ReadingRows"]


@dataclass(frozen=True)
class ReadingRows:
    """What `write_rows` wrote. refusals: rows of `rows` whose answer is one; left_out: rows whose passage is not known."""

    rows: int
    refusals: int
    left_out: int


def build_index(
    name: str,
    *collections: str,
    embedder: str = "",
    store: str = "",
    url: str = "",
    home: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Index:
    """Build an index of collections, or bring it up to date: with the embedder and store that it has, if none are named.

    embedder: a folder or hub id; `off` searches by words alone, as a new index without one does. store: exact, lancedb, qdrant
    or pgvector; by `url` where that is given, else exact. Raises StudioError.
    """
    if url:
        named = stores.kind_of_url(url)
        if store and store != named:
            raise SpecError(f"{url} is the address of a {named} server", hint="Omit --store.", where=f"--store {store}")
        store = named
    elif store in ("qdrant", "pgvector"):
        raise SpecError(f"the store {store} is a server", hint="Set its address: --url.", where=f"--store {store}")
    if store not in ("", "exact", "lancedb", "qdrant", "pgvector"):
        raise SpecError(f"there is no store `{store}`", hint="One of exact, lancedb, qdrant, pgvector.", where="--store")
    kind: Any = store or None
    root = make_home(studio_home(home))
    return retrieval.build(root, name, collections, reporter or Silent(), embedder=embedder, store=kind, url=url)


def find(name: str, home: str | Path | None = None) -> Index:
    """The index of that name. Raises DataError."""
    return retrieval.find(studio_home(home), name)


def indexes(home: str | Path | None = None) -> list[Index]:
    """All indexes, by name."""
    return retrieval.indexes(studio_home(home))


def search_index(name: str, question: str, most: int = 5, mode: Mode = "fused", home: str | Path | None = None) -> list[Hit]:
    """The best passages for a question. Raises StudioError."""
    if not question.strip():
        raise SpecError("the question is empty", hint="Write what you look for.", where=name)
    return find(name, home).search(question, most, mode)


def measure(name: str, questions: Path, home: str | Path | None = None, reporter: Reporter | None = None) -> Measurement:
    """Recall at k, MRR and nDCG over questions whose passages are known. Raises StudioError."""
    index = find(name, home)
    found, left_out = measuring.read_questions(question_files.rows([questions]), index)
    return measuring.measure(index, found, left_out, reporter or Silent())


def write_rows(
    name: str,
    rows: Path,
    out: Path,
    without_gold: float = 0.2,
    seed: int = 0,
    home: str | Path | None = None,
    passages: int = grounding.PASSAGES,
) -> ReadingRows:
    """Write rows that train a model to read passages, from questions whose passages are known.

    passages: in a prompt, as many as it will be asked with. Raises StudioError.
    """
    given = grounding.Grounding(find(name, home), passages)
    every = list(question_files.rows([rows]))
    made = list(grounding.rows_with_passages(given, every, without_gold=without_gold, seed=seed))
    if not made:
        raise DataError(
            "none of the rows names a passage of this index",
            hint="A row has `question`, `answer` and one of: `passages` (ids), `quote`, `document`; or `answerable: false`.",
            where=str(rows),
        )
    write_text(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made))
    refusals = sum(refuses(row["messages"][-1]["content"]) for row in made)
    return ReadingRows(len(made), refusals, len(every) - len(made))


def remove(name: str, home: str | Path | None = None) -> tuple[int, str]:
    """Remove an index: the bytes that were freed, and the server that keeps its vectors, as it could not be asked.

    Raises StudioError.
    """
    return retrieval.remove(studio_home(home), name)


def table(measurement: Measurement) -> tuple[Sequence[str], list[tuple[str, ...]], str]:
    """A measurement as columns, rows and a line on what it rests on."""
    names = list(measurement.results[0].figures)
    return ("search by", *names), list(measuring.table(measurement)), measuring.summary(measurement)


def advice(index: Index) -> str:
    """What a person should know of an index; empty if nothing."""
    if index.record.embedder is None:
        return "Searched by words alone. Build it with an embedding model to search by meaning as well."
    if index.record.store == "exact" and index.record.passages > retrieval.LARGE:
        return f"More than {retrieval.LARGE:,} passages: the store lancedb is faster."
    return ""
