"""Building an index from a page, which embeds nothing in its own process; and searching one from there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from studio.app import indexes, library
from studio.core.errors import SpecError
from studio.documents import store as documents
from studio.processes import command, tasks
from studio.processes.tasks import Task
from studio.retrieval.index import OFF
from studio.retrieval.minilm import NAME as MINILM
from studio.retrieval.records import Hit, Mode

AS_BEFORE = ""
"""No embedder or store named: those of the index, and for a new one words alone, in a file."""
_KIND, _NAME = "index", "build"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def embedders(home: Path) -> list[tuple[str, str]]:
    """What an index may be embedded with, as (label, name): as before, nothing, MiniLM, and embedding models in the library."""
    found = [
        ("as the index has it; a new one: words alone", AS_BEFORE),
        ("words alone, without a model", OFF),
        ("MiniLM: English, 91 MB, from PyPI at first use", MINILM),
    ]
    return [*found, *((path.name, str(path)) for path in library.models(home) if (path / "modules.json").exists())]


def begin(home: Path, name: str, collections: Sequence[str], embedder: str, store: str = AS_BEFORE) -> Task:
    """Begin to build an index in a process that outlives the page. Raises StudioError for what cannot be built."""
    if not name.strip():
        raise SpecError("the index has no name", hint="Write one, e.g. handbook.", where="Name")
    if not collections:
        raise SpecError("no documents were selected", hint="Choose one or more collections.", where="Documents")
    chosen = [documents.find(home, collection).name for collection in collections]
    embedder = (embedder or "").strip()
    known = {value for _, value in embedders(home)}
    if embedder not in known and (not _HUB_ID.fullmatch(embedder) or Path(embedder).exists()):
        raise SpecError(
            "the web studio opens only models in its own library",
            hint="Choose one from the list, write a hub id such as intfloat/multilingual-e5-small, or use studio index build.",
            where="Embedding model",
        )
    if store not in (AS_BEFORE, "exact", "lancedb"):
        raise SpecError("a page builds indexes on this machine only", hint="Use studio index build --url.", where="Store")
    more = [*(["--embedder", embedder] if embedder else []), *(["--store", store] if store else [])]
    return tasks.begin(_folder(home), _KIND, _NAME, ["index", "build", name, *chosen, *more], home)


def building(home: Path) -> Task | None:
    """The process that builds an index, if one was begun."""
    return tasks.task(_folder(home), _KIND, _NAME)


def built(home: Path) -> str:
    """The name of the index that a process which is done has built."""
    return str(tasks.document(_folder(home), _KIND, _NAME)["name"])


def forget(home: Path) -> None:
    """Forget the process that built an index, and end it if it still does; what was embedded is kept."""
    tasks.stop(_folder(home), _KIND, _NAME)


def search(home: Path, name: str, question: str, mode: Mode, most: int = 5) -> list[Hit]:
    """The best passages for a question; a process of its own finds them where the embedding model is needed.

    Raises StudioError.
    """
    index = indexes.find(name, home)
    if mode == "words" or index.record.embedder is None:
        return indexes.search_index(index.record.name, question, most, "words", home)
    arguments = ["index", "search", index.record.name, question, "--by", mode, "--limit", str(most)]
    found = command.run_json(arguments, home, good=(0,))
    return [Hit.from_json(item, "studio index search") for item in found]


def _folder(home: Path) -> Path:
    return home / "indexes" / ".tasks"
