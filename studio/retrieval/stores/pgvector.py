"""PostgreSQL with the extension pgvector. The password comes from PGPASSWORD (environment or keyring), never from the index.

Every operation has a connection of its own: a server that was restarted, or that ends idle connections, is no trouble to a
chat that has been open since yesterday, and threads share nothing.
"""

from __future__ import annotations

import importlib
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from studio.core.errors import ModelError, SpecError
from studio.core.extras import refuse_if_missing
from studio.tracking import secrets

KEY = "PGPASSWORD"
_TLS = ("prefer", "disable", "require", "verify-full")
"""`sslmode` of an address. `prefer` encrypts where the server can, and checks no certificate, as psql does."""


class PgvectorStore:
    """A table of ids and vectors."""

    def __init__(self, url: str, name: str, dimensions: int) -> None:
        refuse_if_missing("the store pgvector", "retrieval-server", ["pg8000"], ModelError)
        self._postgres: Any = importlib.import_module("pg8000.dbapi")
        self._table = "studio_" + re.sub(r"[^a-z0-9]", "_", name.lower())
        self._url, self._tls = url, _tls(url)
        with self._cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table} (id text PRIMARY KEY, vector vector({int(dimensions)}) NOT NULL)"
            )

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        parts = urlsplit(self._url)
        try:
            connection = self._postgres.connect(
                user=unquote(parts.username or "postgres"),
                host=parts.hostname or "localhost",
                port=parts.port or 5432,
                database=parts.path.lstrip("/") or None,
                password=secrets.get(KEY) or "",
                ssl_context=self._tls,
                timeout=30,
            )
            connection.autocommit = True
            with closing(connection), closing(connection.cursor()) as cursor:
                yield cursor
        except (self._postgres.Error, OSError) as problem:
            raise ModelError(
                f"the database rejected the index: {_words(problem)}", hint=_advice(problem), where=self._url
            ) from None

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

    def drop(self) -> None:
        """Forget all: the table is removed."""
        with self._cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {self._table}")


def _tls(url: str) -> Any:
    """What pg8000 takes for the `sslmode` of an address; no other parameter is known. Raises SpecError."""
    given = parse_qs(urlsplit(url).query, keep_blank_values=True)
    mode = given.pop("sslmode", ["prefer"])[-1]
    if given or mode not in _TLS:
        unknown = next(iter(given), f"sslmode={mode}")
        raise SpecError(
            f"the parameter `{unknown}` of the address is not known",
            hint=f"Use sslmode: {', '.join(_TLS)}.",
            where=f"--url {url}",
        )
    if mode == "verify-full":
        return ssl.create_default_context()
    return {"prefer": None, "disable": False, "require": True}[mode]


def _words(problem: Exception) -> str:
    """PostgreSQL's own sentence; its errors arrive as a dictionary of coded fields."""
    fields = problem.args[0] if problem.args else ""
    return str(fields["M"]) if isinstance(fields, dict) and "M" in fields else str(problem).partition(" (timeout is")[0]


def _advice(problem: Exception) -> str:
    fields: Any = problem.args[0] if problem.args else ""
    code = str(fields.get("C", "")) if isinstance(fields, dict) else ""
    if code.startswith("28"):
        return f"Set {KEY} to the password of the user in the address."
    if code == "3D000":
        return "Create the database, or name another in the address."
    if code in ("42501", "0A000", "58P01"):
        return "Have an administrator run there: CREATE EXTENSION vector, and allow this user to create tables."
    if code:
        return "Is pgvector 0.5 or newer installed there?"
    return "Is the server running, and the address right?"


def _literal(vector: NDArray[np.float32]) -> str:
    return "[" + ",".join(f"{value:.8g}" for value in vector.tolist()) + "]"
