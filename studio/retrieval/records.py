"""What an index is, and what a search finds."""

from __future__ import annotations

from typing import ClassVar, Literal

from studio.core.records import Record
from studio.documents.records import Passage

StoreKind = Literal["exact", "lancedb", "qdrant", "pgvector"]
Mode = Literal["fused", "words", "meaning"]


class EmbedderRecord(Record):
    """A sentence-embedding model as an index was built with it. Questions are embedded by the very same."""

    name: str
    """As it was asked for: a folder or a hub id."""
    revision: str
    """SHA-256 of its weights, tokenizer and settings."""
    dimensions: int
    pooling: Literal["mean", "cls", "last", "max"]
    normalize: bool
    query_prefix: str = ""
    passage_prefix: str = ""
    most_tokens: int = 512
    layers: tuple[str, ...] = ()
    """Folders of dense layers after the pooling, in their order."""


class IndexRecord(Record):
    """`index.json`: what an index holds and how it was built."""

    label: ClassVar[str] = "index"
    remedy: ClassVar[str] = "Build it again: studio index build."

    name: str
    created: float
    collections: tuple[str, ...]
    passages: int
    documents: int
    content: str
    """SHA-256 over the ids of its passages: another content is another index to those who cite it."""
    embedder: EmbedderRecord | None = None
    """None: searched by words alone."""
    store: StoreKind = "exact"
    url: str = ""
    """Of a vector server. The key to it is never here."""
    table: str = ""
    """What its vectors are called in their store: another name for every index, as several homes may share a server."""


class Hit(Record):
    """A passage that was found."""

    passage: Passage
    score: float
    """Of the fused ranks, or of the one search; comparable within one answer only."""
    rank_words: int | None = None
    """From 1, in the search by words."""
    rank_meaning: int | None = None
    """From 1, in the search by meaning."""
