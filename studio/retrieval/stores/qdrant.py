"""A Qdrant server. Its key comes from QDRANT_API_KEY (environment or keyring), never from the index."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from studio.core.errors import ModelError
from studio.core.extras import refuse_if_missing
from studio.tracking import secrets

if TYPE_CHECKING:
    from types import ModuleType

KEY = "QDRANT_API_KEY"


class QdrantStore:
    """A collection of points, each with its passage id."""

    def __init__(self, url: str, name: str, dimensions: int, client: object = None) -> None:
        """client: one that is open already, as tests have it."""
        refuse_if_missing("the store qdrant", "retrieval-server", ["qdrant_client"], ModelError)
        qdrant: Any = importlib.import_module("qdrant_client")
        self._models: Any = qdrant.models
        self._name, self._url = name, url
        self._client: Any = client or _connected(qdrant, url)
        with self._errors_translated():
            if not self._client.collection_exists(name):
                self._client.create_collection(
                    name, vectors_config=self._models.VectorParams(size=dimensions, distance=self._models.Distance.DOT)
                )

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        """Whatever the client raises, as an error that says what to do."""
        try:
            yield
        except Exception as problem:
            raise ModelError(_words(problem), hint=_advice(problem), where=self._url) from None

    def ids(self) -> set[str]:
        """The passages it holds."""
        found: set[str] = set()
        offset: Any = None
        with self._errors_translated():
            while True:
                points, offset = self._client.scroll(self._name, limit=10_000, offset=offset, with_payload=True)
                found |= {str(point.payload["passage"]) for point in points}
                if offset is None:
                    return found

    def add(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Take in vectors."""
        points = [
            self._models.PointStruct(id=_point(item), vector=vector.tolist(), payload={"passage": item})
            for item, vector in zip(ids, vectors, strict=True)
        ]
        with self._errors_translated():
            self._client.upsert(self._name, points=points, wait=True)

    def search(self, vector: NDArray[np.float32], most: int) -> list[tuple[str, float]]:
        """The nearest passages."""
        with self._errors_translated():
            found = self._client.query_points(self._name, query=vector.tolist(), limit=most, with_payload=True).points
            return [(str(point.payload["passage"]), float(point.score)) for point in found]

    def remove(self, ids: Sequence[str]) -> None:
        """Forget passages."""
        if ids:
            with self._errors_translated():
                self._client.delete(
                    self._name, points_selector=self._models.PointIdsList(points=[_point(item) for item in ids])
                )

    def drop(self) -> None:
        """Forget all: the collection is removed."""
        with self._errors_translated():
            self._client.delete_collection(self._name)


def _connected(qdrant: ModuleType, url: str) -> Any:
    return qdrant.QdrantClient(url=url, api_key=secrets.get(KEY) or None, timeout=60, check_compatibility=False)


def _words(problem: Exception) -> str:
    status = getattr(problem, "status_code", None)
    if status in (401, 403):
        return "the vector server requires another key"
    if status is not None:
        return f"the vector server answered {status} {getattr(problem, 'reason_phrase', '')}".rstrip()
    return f"the vector server does not respond: {type(problem).__name__}"


def _advice(problem: Exception) -> str:
    status = getattr(problem, "status_code", None)
    if status in (401, 403):
        return f"Set {KEY}."
    return "Is it a Qdrant server?" if status is not None else f"Is it running? Set {KEY} if it requires a key."


def _point(passage: str) -> str:
    """A passage id as Qdrant takes ids: a UUID."""
    return str(uuid.UUID(passage.ljust(32, "0")[:32]))
