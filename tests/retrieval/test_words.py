"""Search by words, and the store of vectors: exact, and whole after a crash."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from studio.retrieval.stores.exact import ExactStore
from studio.retrieval.words import K1, B, WordIndex, terms

TEXTS = [
    "Thirty days of leave a year.",
    "Leave is paid, and leave is yours.",
    "Drills are in room four.",
    "年次休暇は三十日です",
]


def test_scores_are_bm25_by_its_formula() -> None:
    counts = [terms(text) for text in TEXTS]
    mean = sum(map(len, counts)) / len(counts)
    rarity = math.log(1 + (4 - 2 + 0.5) / (2 + 0.5))
    expected = [
        rarity * count.count("leave") * (K1 + 1) / (count.count("leave") + K1 * (1 - B + B * len(count) / mean))
        for count in counts
    ]
    found = dict(WordIndex.build(TEXTS).search("LEAVE?", 10))
    assert set(found) == {0, 1}
    for row, score in found.items():
        assert abs(score - expected[row]) < 1e-6


def test_a_script_without_spaces_is_searched_by_pairs_of_its_characters() -> None:
    assert [row for row, _ in WordIndex.build(TEXTS).search("休暇", 3)] == [3]


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    index = WordIndex.build(TEXTS)
    index.write(tmp_path / "terms.npz")
    assert WordIndex.read(tmp_path / "terms.npz").search("drills room", 2) == index.search("drills room", 2)
    WordIndex.build(["…"]).write(tmp_path / "empty.npz")
    assert WordIndex.read(tmp_path / "empty.npz").search("x", 2) == []


def _ids(count: int) -> list[str]:
    return [f"{number:016x}" for number in range(count)]


def test_the_exact_store_finds_what_a_full_comparison_finds(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    vectors = random.normal(size=(300, 16)).astype(np.float32)
    store = ExactStore(tmp_path, 16)
    store.add(_ids(300)[:200], vectors[:200])
    store.add(_ids(300)[200:], vectors[200:])
    question = random.normal(size=16).astype(np.float32)
    expected = sorted(range(300), key=lambda row: -float(vectors[row] @ question))[:7]
    assert [item for item, _ in ExactStore(tmp_path, 16).search(question, 7)] == [_ids(300)[row] for row in expected]


def test_what_a_crash_left_half_written_is_not_there(tmp_path: Path) -> None:
    vectors = np.eye(4, dtype=np.float32)
    ExactStore(tmp_path, 4).add(_ids(4), vectors)
    with open(tmp_path / "vectors.f32", "r+b") as file:
        file.truncate(16 * 3 + 5)
    store = ExactStore(tmp_path, 4)
    assert store.ids() == set(_ids(3))
    store.add(_ids(4)[3:], vectors[3:])
    assert store.search(vectors[3], 1)[0] == (_ids(4)[3], 1.0)
    with open(tmp_path / "ids.txt", "ab") as file:
        file.write(b"00000000")
    store = ExactStore(tmp_path, 4)
    store.add(["f" * 16], vectors[:1])
    assert store.ids() == {*_ids(4), "f" * 16}


def test_what_is_removed_is_found_no_more(tmp_path: Path) -> None:
    vectors = np.eye(4, dtype=np.float32)
    store = ExactStore(tmp_path, 4)
    store.add(_ids(4), vectors)
    store.remove(_ids(4)[1:2])
    again = ExactStore(tmp_path, 4)
    assert again.ids() == set(_ids(4)) - {_ids(4)[1]}
    assert again.search(vectors[2], 1)[0][0] == _ids(4)[2]
