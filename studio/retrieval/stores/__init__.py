"""Where vectors lie: one file per store behind one protocol. To add one: write its file and its name here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from studio.core import outbound
from studio.core.errors import SpecError
from studio.retrieval.records import IndexRecord


class Store(Protocol):
    """Vectors by passage id. What was added is there after a crash; scores are inner products, the highest first."""

    def ids(self) -> set[str]:
        """The passages it holds."""
        ...

    def add(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Take in vectors, (count, dimensions); ids that are there are replaced or left."""
        ...

    def search(self, vector: NDArray[np.float32], most: int) -> list[tuple[str, float]]:
        """The nearest passages as (id, score), best first."""
        ...

    def remove(self, ids: Sequence[str]) -> None:
        """Forget passages."""
        ...

    def drop(self) -> None:
        """Forget all, and give back the room."""
        ...


def open_store(record: IndexRecord, folder: Path) -> Store:
    """The store of an index, its files (if it has any) below `folder`. Raises SpecError, or StudioError for a missing extra."""
    assert record.embedder is not None, "an index without an embedder has no vectors"
    name = record.table or f"{record.name}-{record.embedder.revision[:12]}"  # as earlier releases named it
    dimensions = record.embedder.dimensions
    if record.url:
        outbound.require(record.url, "store")
    match record.store:
        case "exact":
            from studio.retrieval.stores.exact import ExactStore

            return ExactStore(folder / f"vectors-{record.embedder.revision[:12]}", dimensions)
        case "lancedb":
            from studio.retrieval.stores.lance import LanceStore

            return LanceStore(folder / "lance", name, dimensions)
        case "qdrant":
            from studio.retrieval.stores.qdrant import QdrantStore

            return QdrantStore(record.url, name, dimensions)
        case "pgvector":
            from studio.retrieval.stores.pgvector import PgvectorStore

            return PgvectorStore(record.url, name, dimensions)


def kind_of_url(url: str) -> str:
    """The store that a URL names. Raises SpecError."""
    if urlsplit(url).password:
        raise SpecError(
            "the address contains a password, which would be stored in the index",
            hint="Remove it, and set PGPASSWORD or QDRANT_API_KEY.",
            where="--url",
        )
    if url.startswith(("postgres://", "postgresql://")):
        return "pgvector"
    if url.startswith(("http://", "https://")):
        return "qdrant"
    raise SpecError(
        "expected the address of a vector server",
        hint="Write http://host:6333 for Qdrant, or postgresql://host/database for pgvector.",
        where=f"--url {url}",
    )
