"""The stores of the extras keep the protocol: what was added is found, what was removed is not. Qdrant runs in this process."""

from __future__ import annotations

import importlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.core.errors import ModelError, SpecError
from studio.retrieval.stores import Store
from studio.retrieval.stores.exact import ExactStore
from studio.retrieval.stores.lance import LanceStore
from studio.retrieval.stores.pgvector import PgvectorStore
from studio.retrieval.stores.qdrant import QdrantStore


def keeps_the_protocol(store: Store) -> None:
    vectors = np.eye(5, 4, dtype=np.float32) + 0.01
    ids = [f"{number:016x}" for number in range(5)]
    store.add(ids[:3], vectors[:3])
    store.add(ids[3:], vectors[3:])
    assert store.ids() == set(ids)
    (first, score), *rest = store.search(vectors[2], 2)
    assert first == ids[2]
    assert score == pytest.approx(float(vectors[2] @ vectors[2]), abs=1e-4)
    assert len(rest) == 1
    store.remove([ids[2]])
    assert ids[2] not in store.ids()
    assert store.search(vectors[2], 1)[0][0] != ids[2]
    store.drop()


def test_exact(tmp_path: Path) -> None:
    keeps_the_protocol(ExactStore(tmp_path / "t", 4))
    assert not (tmp_path / "t").exists()


@pytest.mark.skipif(find_spec("lancedb") is None, reason="lancedb is not installed (extra `retrieval`)")
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_lancedb(tmp_path: Path) -> None:
    keeps_the_protocol(LanceStore(tmp_path, "t", 4))
    assert LanceStore(tmp_path, "t", 4).ids() == set()
    LanceStore(tmp_path, "t", 4).add(["a"], np.ones((1, 4), np.float32))
    assert LanceStore(tmp_path, "t", 4).ids() == {"a"}


@pytest.mark.skipif(find_spec("qdrant_client") is None, reason="qdrant-client is not installed (extra `retrieval-server`)")
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_qdrant() -> None:
    qdrant: Any = importlib.import_module("qdrant_client")
    keeps_the_protocol(QdrantStore("", "t", 4, client=qdrant.QdrantClient(":memory:")))


needs_clients = pytest.mark.skipif(find_spec("pg8000") is None, reason="pg8000 is not installed (extra `retrieval-server`)")


@needs_clients
@pytest.mark.skipif(not os.environ.get("STUDIO_TEST_POSTGRES"), reason="no database in STUDIO_TEST_POSTGRES (and PGPASSWORD)")
def test_pgvector() -> None:
    keeps_the_protocol(PgvectorStore(os.environ["STUDIO_TEST_POSTGRES"], "t", 4))


@needs_clients
def test_a_database_that_is_not_there_is_an_error_that_says_so_and_sslmode_is_all_an_address_may_set() -> None:
    with pytest.raises(ModelError, match="Can't create a connection") as down:
        PgvectorStore("postgresql://me@127.0.0.1:1/docs", "t", 4)
    assert down.value.hint == "Is the server running, and the address right?"
    for query in ("sslmode=sometimes", "options=-c"):
        with pytest.raises(SpecError, match="is not known"):
            PgvectorStore(f"postgresql://me@127.0.0.1:1/docs?{query}", "t", 4)
