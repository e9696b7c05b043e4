"""The stores of the extras keep the protocol: what was added is found, what was removed is not. Qdrant runs in this process."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from studio.retrieval.stores import Store
from studio.retrieval.stores.lance import LanceStore
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


@pytest.mark.skipif(find_spec("lancedb") is None, reason="lancedb is not installed (extra `retrieval`)")
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_lancedb(tmp_path: Path) -> None:
    keeps_the_protocol(LanceStore(tmp_path, "t", 4))
    assert len(LanceStore(tmp_path, "t", 4).ids()) == 4


@pytest.mark.skipif(find_spec("qdrant_client") is None, reason="qdrant-client is not installed (extra `retrieval-server`)")
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_qdrant() -> None:
    qdrant: Any = importlib.import_module("qdrant_client")
    keeps_the_protocol(QdrantStore("", "t", 4, client=qdrant.QdrantClient(":memory:")))
