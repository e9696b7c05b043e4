"""PostgreSQL with the extension pgvector. The password comes from PGPASSWORD (environment or keyring), never from the index."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from studio.core.errors import ModelError
from studio.core.extras import refuse_if_missing
from studio.tracking import secrets

KEY = "PGPASSWORD"


class PgvectorStore:
    """A table of ids and vectors."""

    def __init__(self, url: str, name: str, dimensions: int) -> None:
        refuse_if_missing("the store pgvector", "retrieval-server", ["pg8000"], ModelError)
        postgres: Any = importlib.import_module("pg8000.dbapi")
        self._table = "studio_" + re.sub(r"[^a-z0-9]", "_", name.lower())
        parts = urlsplit(url)
        try:
            self._connection: Any = postgres.connect(
                user=unquote(parts.username or "postgres"),
                host=parts.hostname or "localhost",
                port=parts.port or 5432,
                database=parts.path.lstrip("/") or None,
                password=secrets.get(KEY) or None,
                timeout=30,
            )
            self._connection.autocommit = True
            with self._cursor() as cursor:
                cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
                cursor.execute(
                    f"CREATE TABLE IF NOT EXISTS {self._table} (id text PRIMARY KEY, vector vector({int(dimensions)}) NOT NULL)"
                )
        except postgres.Error as problem:
            raise ModelError(
                f"the database rejected the index: {problem}",
                hint=f"Is it running, with the extension pgvector, and {KEY} set?",
                where=url,
            ) from None

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with closing(self._connection.cursor()) as cursor:
            yield cursor

    def ids(self) -> set[str]:
        """The passages it holds."""
        with self._cursor() as cursor:
            cursor.execute(f"SELECT id FROM {self._table}")
            return {str(row[0]) for row in cursor.fetchall()}

    def add(self, ids: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Take in vectors."""
        rows = [(item, _literal(vector)) for item, vector in zip(ids, vectors, strict=True)]
        with self._cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {self._table} (id, vector) VALUES (%s, CAST(%s AS vector)) ON CONFLICT (id) DO NOTHING", rows
            )

    def search(self, vector: NDArray[np.float32], most: int) -> list[tuple[str, float]]:
        """The nearest passages. pgvector's `<#>` is the negative inner product."""
        distance, literal = "vector <#> CAST(%s AS vector)", _literal(vector)
        with self._cursor() as cursor:
            cursor.execute(
                f"SELECT id, -({distance}) FROM {self._table} ORDER BY {distance} LIMIT {int(most)}", (literal, literal)
            )
            return [(str(item), float(score)) for item, score in cursor.fetchall()]

    def remove(self, ids: Sequence[str]) -> None:
        """Forget passages."""
        with self._cursor() as cursor:
            cursor.execute(f"DELETE FROM {self._table} WHERE id = ANY(%s)", (list(ids),))


def _literal(vector: NDArray[np.float32]) -> str:
    return "[" + ",".join(f"{value:.8g}" for value in vector.tolist()) + "]"
