"""Near-duplicates kept on one side of the split: a row that says nearly what a training row says is no evidence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from studio.core.text import plural
from studio.data.near import Clusters, Signatures, agree, near_pairs
from studio.tracking.reporter import Reporter

ROWS = 200_000
"""Rows up to which near-duplicates are looked for: as many take ten to fifteen CPU seconds, written by a pattern or not."""
LARGEST = 0.2
"""Share of the rows that one group may have at most: rows all made by one pattern are alike and yet different."""


def joined(
    signatures: Signatures,
    numbers: np.ndarray,
    said: Callable[[int], tuple[str, str]],
    hashes: np.ndarray,
    groups: np.ndarray,
    reporter: Reporter,
) -> tuple[np.ndarray, str]:
    """Groups in which near-duplicates are together, and a sentence on what was done; empty if there was nothing to do.

    signatures: of what each row says; numbers: the `number_mark` of its answer, uint64 [rows]; said: what it says, made
    plain, and the row's answer. hashes, groups: uint64 [rows], of the whole row and of what must stay together anyway. Two
    rows are joined if they are near-duplicates and their answers agree: a question that differs in a word and has another
    answer is another question. The order of the rows does not matter.
    Raises Stopped when asked to.
    """

    _, first, inverse, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    clusters, most = Clusters(len(groups)), max(LARGEST * len(groups), sizes.max())
    for index, group in enumerate(inverse.tolist()):
        clusters.join(int(first[group]), index)
    pairs = near_pairs(
        signatures.table(), lambda index: said(index)[0], reporter, rank=hashes, numbers=numbers, known=clusters.joined
    )
    for one, two, _ in pairs:
        if agree(said(one)[1], said(two)[1]):
            clusters.join(one, two)
        if clusters.largest > most:
            return groups, "Most rows are much alike, so near-duplicates were not kept on one side of the split."
    labels = clusters.labels()
    least = np.full(len(groups), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(least, labels, groups)
    together = least[labels]
    moved = int((together != groups).sum())
    return together, f"Kept on one side of the split: {plural(moved, 'near-duplicate')} of other rows." if moved else ""
