"""An index below `<home>/indexes/<name>/`: passages, their words and vectors; built so that it can go on after a crash.

Searches by words (BM25) and by meaning are fused by reciprocal rank (Cormack et al. 2009): a passage gets 1 / (60 + rank)
from each.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import orjson

from studio.core.errors import DataError, JobError, SpecError, Stopped, StudioError
from studio.core.files import bytes_in, need_room, write_bytes, write_text
from studio.core.records import RecordError
from studio.core.text import duration, nearest, plural, slug
from studio.documents import store as documents
from studio.documents.records import Passage
from studio.processes import locks
from studio.retrieval import embedder as embedders
from studio.retrieval.records import EmbedderRecord, Hit, IndexRecord, Mode, StoreKind
from studio.retrieval.stores import Store, open_store
from studio.retrieval.words import WordIndex
from studio.tracking.reporter import Reporter

if TYPE_CHECKING:
    from studio.retrieval.embedding import Embedder

RANK = 60
"""The constant of reciprocal rank fusion, as in its paper."""
DEPTH = 50
"""Passages of each search that are fused."""
OFF = "off"
"""In place of an embedder: search by words alone, also where the index had one."""
LARGE = 200_000
"""Passages above which exact search takes longer than 30 ms, and a store of its own is better."""
_AT_ONCE = 128
"""Passages that are embedded between two writes: at most these are lost by a crash."""


class Index:
    """An index that is there, ready to be searched."""

    def __init__(self, path: Path, record: IndexRecord) -> None:
        self.path, self.record = path, record
        self._embedder: Embedder | None = None

    @cached_property
    def passages(self) -> dict[str, Passage]:
        """Its passages by id. Raises RecordError if they are not those it was built of."""
        file = self.path / "passages.jsonl"
        passages = {passage.id: passage for passage in Passage.read_lines(file)}
        if _digest(passages) != self.record.content:
            raise _damaged("its passages are not those it was built of", file)
        return passages

    @cached_property
    def _order(self) -> list[str]:
        return list(self.passages)

    @cached_property
    def _words(self) -> WordIndex:
        file = self.path / "terms.npz"
        try:
            found = WordIndex.read(file)
        except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error) as error:
            raise _damaged(f"its words cannot be read ({error})", file) from None
        if found.count != len(self._order):
            raise _damaged("its words are not those of its passages", file)
        return found

    @cached_property
    def _store(self) -> Store:
        return open_store(self.record, self.path)

    def use(self, embedder: Embedder) -> None:
        """Embed questions with a model that is loaded already. Raises ModelError if it is not the one of the index."""
        assert self.record.embedder is not None
        embedders.require_same(self.record.embedder, embedder.record)
        self._embedder = embedder

    def search(self, question: str, most: int = 5, mode: Mode = "fused") -> list[Hit]:
        """The best passages for a question, best first.

        Loads the embedding model at the first question, unless mode is "words" or the index has none. Raises ModelError if
        that model is not there, or of another revision than the index was built with.
        """
        if mode == "meaning" and self.record.embedder is None:
            raise SpecError("this index has no embedder", hint="Build it again with --embedder.", where=self.record.name)
        by_words = [] if mode == "meaning" else [self._order[row] for row, _ in self._words.search(question, max(DEPTH, most))]
        by_meaning: list[str] = []
        if mode != "words" and self.record.embedder is not None:
            wanted = self.passages
            found = self._store.search(self._embed(question), max(DEPTH, most))
            by_meaning = [passage for passage, _ in found if passage in wanted]
        return self._fused(by_words, by_meaning, most)

    def _fused(self, by_words: list[str], by_meaning: list[str], most: int) -> list[Hit]:
        words = {passage: rank for rank, passage in enumerate(by_words, 1)}
        meaning = {passage: rank for rank, passage in enumerate(by_meaning, 1)}
        scores: dict[str, float] = {}
        for ranks in (words, meaning):
            for passage, rank in ranks.items():
                scores[passage] = scores.get(passage, 0.0) + 1 / (RANK + rank)
        chosen = sorted(scores, key=lambda passage: (-scores[passage], meaning.get(passage, DEPTH), words.get(passage, DEPTH)))
        return [
            Hit(
                passage=self.passages[passage],
                score=round(scores[passage], 6),
                rank_words=words.get(passage),
                rank_meaning=meaning.get(passage),
            )
            for passage in chosen[:most]
        ]

    def _embed(self, question: str) -> Any:
        if self._embedder is None:
            from studio.retrieval.embedding import Embedder

            assert self.record.embedder is not None
            self._embedder = Embedder(self.record.embedder.name, self.record.embedder)
        return self._embedder.questions([question])[0]


def _digest(passages: Iterable[str]) -> str:
    """A hash of the passages' ids, which follow from their text and source."""
    return hashlib.sha256("\n".join(sorted(passages)).encode()).hexdigest()


def _damaged(what: str, file: Path) -> RecordError:
    return RecordError(f"the index is damaged: {what}", hint="Build it again: studio index build.", where=str(file))


def indexes(home: Path) -> list[Index]:
    """All indexes, by name; one whose record cannot be read is not among them."""
    found = []
    for file in sorted((home / "indexes").glob("*/index.json")):
        with contextlib.suppress(StudioError, FileNotFoundError):
            found.append(Index(file.parent, IndexRecord.read(file)))
    return found


def find(home: Path, name: str) -> Index:
    """The index of that name. Raises DataError that says which there are."""
    file = home / "indexes" / slug(name) / "index.json"
    if file.exists():
        return Index(file.parent, IndexRecord.read(file))
    known = [index.record.name for index in indexes(home)]
    near = nearest(name, known)
    there = f"Indexes: {', '.join(known[:8])}." if known else "Build one: studio index build NAME COLLECTION"
    unfinished = "Its build was interrupted: run studio index build again to resume it. " if file.parent.is_dir() else ""
    raise DataError(
        f"there is no index `{name}`",
        hint=unfinished or (f"Did you mean {near}?" if near else there),
        where=str(home / "indexes"),
    )


def build(
    home: Path,
    name: str,
    collections: Sequence[str],
    reporter: Reporter,
    *,
    embedder: str = "",
    store: StoreKind | None = None,
    url: str = "",
) -> Index:
    """Build an index of document collections, or bring one up to date: only passages that are new are embedded.

    embedder: a folder or hub id; `off` searches by words alone; empty, like an empty store: as the index was built before, else
    by words alone. Built again after an interruption it goes on where it was. Raises StudioError.
    """
    chosen = [documents.find(home, collection) for collection in collections]
    passages = {passage.id: passage for collection in chosen for passage in collection.passages()}
    if not passages:
        raise DataError(
            "there are no passages to index", hint="Add documents: studio documents add FILE… --name NAME", where=name
        )
    folder = home / "indexes" / slug(name)
    with _writer(folder):
        need_room(folder, 4 * sum(len(passage.text) for passage in passages.values()), "the index")
        before = _before(folder)
        embedder, store, url = _chosen(before, embedder, store, url)
        described = embedders.describe(embedder)[0] if embedder else None
        record = IndexRecord(
            name=slug(name),
            created=time.time(),
            collections=tuple(collection.name for collection in chosen),
            passages=len(passages),
            documents=len({passage.document for passage in passages.values()}),
            content=_digest(passages),
            embedder=described,
            store=store,
            url=url,
            table=_table(folder, before, described, url),
        )
        if described is not None:
            need_room(folder, 4 * described.dimensions * len(passages), "the vectors")
            _embed(folder, record, described, passages, reporter)
        WordIndex.build(passage.text for passage in passages.values()).write(folder / "terms.npz")
        lines = (orjson.dumps(passage.as_line(), option=orjson.OPT_APPEND_NEWLINE) for passage in passages.values())
        write_bytes(folder / "passages.jsonl", b"".join(lines))
        record.write(folder / "index.json")
        if before is not None and _where(before) != _where(record):
            _drop(before, folder)
    return Index(folder, record)


def _before(folder: Path) -> IndexRecord | None:
    """The record of an index that is brought up to date; None for a new one, and for one that cannot be read."""
    with contextlib.suppress(StudioError, FileNotFoundError):
        return IndexRecord.read(folder / "index.json")
    return None


def _chosen(before: IndexRecord | None, embedder: str, store: StoreKind | None, url: str) -> tuple[str, StoreKind, str]:
    """Embedder, store and address: as asked for, else as the index has them. Raises SpecError for a store of nothing."""
    if not embedder and before is not None and before.embedder is not None:
        embedder = before.embedder.name
    embedder = "" if embedder == OFF else embedder
    if store is None and before is not None and embedder:
        store, url = before.store, before.url
    if not embedder and store not in (None, "exact"):
        raise SpecError(
            "an index that is searched by words alone has no vectors to store",
            hint="Set --embedder, or omit --store and --url.",
            where=f"--store {store}",
        )
    return embedder, store or "exact", url


def _table(folder: Path, before: IndexRecord | None, described: EmbedderRecord | None, url: str) -> str:
    """What the vectors are called in their store. The same after an interruption, and in no other home."""
    if described is None:
        return ""
    if before is not None and not before.table and before.embedder == described and before.url == url:
        return ""  # an index of an earlier release keeps what it has
    file = folder / "id.txt"
    if not file.exists():
        write_text(file, uuid.uuid4().hex[:8])
    return f"{folder.name}-{file.read_text('ascii')}-{described.revision[:12]}"


def _where(record: IndexRecord) -> tuple[str, str, str]:
    return record.store, record.url, record.embedder.revision if record.embedder else ""


def _drop(record: IndexRecord, folder: Path) -> str:
    """Remove vectors that are used no more; where they remain, if their server cannot be asked."""
    if record.embedder is None:
        return ""
    try:
        open_store(record, folder).drop()
    except StudioError:
        return record.url
    return ""


def remove(home: Path, name: str) -> tuple[int, str]:
    """Remove an index: the bytes that were freed, and the server that still has its vectors as it could not be asked."""
    import shutil

    index = find(home, name)
    freed = bytes_in(index.path)
    with _writer(index.path):
        left = _drop(index.record, index.path) if index.record.url else ""
        aside = index.path.with_name(f".deleted-{index.path.name}")
        index.path.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
    return freed, left


def _embed(
    folder: Path, record: IndexRecord, described: EmbedderRecord, passages: dict[str, Passage], reporter: Reporter
) -> None:
    """Embed what the store has not, and forget what is no longer there."""
    vectors = open_store(record, folder)
    there = vectors.ids()
    missing = [passage for passage in passages.values() if passage.id not in there]
    if missing:
        from studio.retrieval.embedding import Embedder

        reporter.progress(0, len(passages), f"Loading {described.name}")
        model = Embedder(described.name, described)
        begun, done = time.monotonic(), 0
        for start in range(0, len(missing), _AT_ONCE):
            if reporter.should_stop():
                raise Stopped
            block = missing[start : start + _AT_ONCE]
            vectors.add([passage.id for passage in block], model.passages([passage.text for passage in block]))
            done += len(block)
            left = (time.monotonic() - begun) / done * (len(missing) - done)
            ready = len(passages) - len(missing) + done
            words = f"Embedding {plural(len(passages), 'passage')}, {duration(left)} left"
            reporter.progress(ready, len(passages), words)
    stale = sorted(there - set(passages))
    if stale:
        vectors.remove(stale)


@contextlib.contextmanager
def _writer(folder: Path) -> Iterator[None]:
    """The right to write an index, for one process at a time. Raises JobError."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with locks.hold(folder / ".lock", locks.within(5)):
            yield
    except locks.LockHeld:
        raise JobError("this index is being built", hint="Wait until the build has finished.", where=folder.name) from None
