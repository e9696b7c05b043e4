"""Near-duplicates: which pairs are given, and which are spared because they cannot matter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from studio.data import near_groups
from studio.data.near import Clusters, Signatures, agree, near_pairs, number_mark
from studio.tracking.reporter import Silent

PLACES = ("Bergen", "Malmo", "Turku", "Aarhus")
TEXTS = [
    f"how much does the aria lamp cost in the shop in {place.lower()} when i order {number} pieces at once?"
    for number in range(100, 130)
    for place in PLACES
]


def signed() -> NDArray[np.uint32]:
    signatures = Signatures()
    for text in TEXTS:
        signatures.add(text)
    return signatures.table()


def test_pairs_whose_answers_have_no_number_in_common_are_spared_and_no_others() -> None:
    answers = ["{} euro", "it is {} euro", "nobody knows", "{} euro, or 7"]
    said = [answers[index % 4].format(index % 10) for index in range(len(TEXTS))]
    marks = np.array([number_mark(answer) for answer in said], dtype=np.uint64)
    every = {pair[:2] for pair in near_pairs(signed(), TEXTS.__getitem__)}
    left = {pair[:2] for pair in near_pairs(signed(), TEXTS.__getitem__, numbers=marks)}
    wanted = {(one, two) for one, two in every if agree(said[one], said[two])}
    assert wanted <= left < every


def test_texts_that_are_together_already_are_not_read_again() -> None:
    clusters, read = Clusters(len(TEXTS)), list[int]()

    def text(index: int) -> str:
        read.append(index)
        return TEXTS[index]

    for one, two, _ in near_pairs(signed(), text, known=clusters.joined):
        clusters.join(one, two)
    known, without = Clusters(len(TEXTS)), len(read)
    read.clear()
    for one, two, _ in near_pairs(signed(), text):
        known.join(one, two)
    assert clusters.labels().tolist() == known.labels().tolist()
    assert clusters.largest == np.bincount(known.labels()).max()
    assert without < len(read) / 2


def test_where_most_rows_are_alike_the_looking_ends_as_soon_as_that_is_known() -> None:
    signatures, read = Signatures(), set[int]()
    for text in TEXTS:
        signatures.add(text)

    def said(index: int) -> tuple[str, str]:
        read.add(index)
        return TEXTS[index], "it is delivered by parcel"

    groups = np.arange(len(TEXTS), dtype=np.uint64)
    together, remark = near_groups.joined(signatures, np.zeros(len(TEXTS), np.uint64), said, groups, groups, Silent())
    assert together is groups
    assert "Most rows are much alike" in remark
    assert len(read) < len(TEXTS) / 2
