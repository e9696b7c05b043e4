"""LanceDB, for more than 200,000 passages: a table on disk that need not fit the memory."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.core.errors import ModelError
from studio.core.extras import refuse_if_missing


class LanceStore:
    """A table of ids and vectors."""

    def __init__(self, folder: Path, name: str, dimensions: int) -> None:
        refuse_if_missing("the store lancedb", "retrieval", ["lancedb"], ModelError)
        import pyarrow as pa

        lancedb: Any = importlib.import_module("lancedb")
        folder.mkdir(parents=True, exist_ok=True)
        self._database: Any = lancedb.connect(folder)
        self._name = name
        schema = pa.schema([("id", pa.string()), ("vector", pa.list_(pa.float32(), dimensions))])
        self._table: Any = self._database.create_table(name, schema=schema, exist_ok=True)

    def ids(self) -> set[str]:
        """The passages it holds."""
        return set(self._table.to_arrow().column("id").to_pylist())

    def add(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Take in vectors."""
        self._table.add([{"id": item, "vector": vector.tolist()} for item, vector in zip(ids, vectors, strict=True)])

    def search(self, vector: NDArray[np.float32], most: int) -> list[tuple[str, float]]:
        """The nearest passages. LanceDB's distance is 1 minus the inner product."""
        found = self._table.search(vector.tolist()).distance_type("dot").select(["id", "_distance"]).limit(most).to_list()
        return [(str(row["id"]), 1.0 - float(row["_distance"])) for row in found]

    def remove(self, ids: Sequence[str]) -> None:
        """Forget passages, a thousand at a time."""
        for start in range(0, len(ids), 1_000):
            listed = ", ".join(f"'{item}'" for item in ids[start : start + 1_000])
            self._table.delete(f"id IN ({listed})")

    def drop(self) -> None:
        """Forget all: the table is removed."""
        self._database.drop_table(self._name, ignore_missing=True)
