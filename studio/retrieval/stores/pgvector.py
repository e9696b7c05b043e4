"""PostgreSQL with the extension pgvector. The password comes from PGPASSWORD or a .pgpass file, never from the index."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.core.errors import ModelError
from studio.core.extras import refuse_if_missing


class PgvectorStore:
    """A table of ids and vectors."""

    def __init__(self, url: str, name: str, dimensions: int) -> None:
        refuse_if_missing("the store pgvector", "retrieval-server", ["psycopg"], ModelError)
        psycopg: Any = importlib.import_module("psycopg")
        self._table = "studio_" + re.sub(r"[^a-z0-9]", "_", name.lower())
        try:
            self._connection: Any = psycopg.connect(url, autocommit=True, connect_timeout=30)
            self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
            self._connection.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table} (id text PRIMARY KEY, vector vector({int(dimensions)}) NOT NULL)"
            )
        except psycopg.Error as problem:
            raise ModelError(
                f"the database does not take the index: {str(problem).strip().splitlines()[0]}",
                hint="Is it running, with the extension pgvector, and PGPASSWORD set?",
                where=re.sub(r"//[^@/]*@", "//", url),
            ) from None

    def ids(self) -> set[str]:
        """The passages it holds."""
        return {row[0] for row in self._connection.execute(f"SELECT id FROM {self._table}")}

    def add(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Take in vectors."""
        rows = [(item, _literal(vector)) for item, vector in zip(ids, vectors, strict=True)]
        with self._connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {self._table} (id, vector) VALUES (%s, %s::vector) ON CONFLICT (id) DO NOTHING", rows
            )

    def search(self, vector: NDArray[np.float32], most: int) -> list[tuple[str, float]]:
        """The nearest passages. pgvector's `<#>` is the negative inner product."""
        query = f"SELECT id, -(vector <#> %s::vector) FROM {self._table} ORDER BY vector <#> %s::vector LIMIT %s"
        literal = _literal(vector)
        return [(str(item), float(score)) for item, score in self._connection.execute(query, (literal, literal, most))]

    def remove(self, ids: Sequence[str]) -> None:
        """Forget passages."""
        self._connection.execute(f"DELETE FROM {self._table} WHERE id = ANY(%s)", (list(ids),))


def _literal(vector: NDArray[np.float32]) -> str:
    return "[" + ",".join(f"{value:.8g}" for value in vector.tolist()) + "]"
