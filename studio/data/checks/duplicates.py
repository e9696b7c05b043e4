"""Near-duplicates: rows that say nearly the same, by MinHash over five-character shingles, verified by true overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from studio.data.checks.base import Check

SIMILAR = 0.7
"""Jaccard similarity of the shingles from which two rows are near-duplicates."""
HASHES, BANDS, SHINGLE = 64, 16, 5
_BLOCK = 2_000


def near_duplicates(texts: Sequence[str]) -> list[int]:
    """Rows that nearly repeat an earlier one, in order. Memory: 256 bytes a row beside the texts."""
    if len(texts) < 2:
        return []
    plain = [" ".join(text.casefold().split()) for text in texts]
    signatures = np.concatenate([_signatures(plain[start : start + _BLOCK]) for start in range(0, len(plain), _BLOCK)])
    repeats: set[int] = set()
    for one, two in _candidates(signatures):
        if two not in repeats and _overlap(plain[one], plain[two]) >= SIMILAR:
            repeats.add(two)
    return sorted(repeats)


def _signatures(texts: Sequence[str]) -> np.ndarray:
    """MinHash signatures, uint32 [rows, HASHES]."""
    padded = [text.ljust(SHINGLE) for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
    sizes = np.array([len(text) for text in padded])
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    rolled = np.zeros(len(codes) - SHINGLE + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for offset in range(SHINGLE):
            rolled = rolled * np.uint64(0x100000001B3) + codes[offset : len(codes) - SHINGLE + 1 + offset]
        rolled ^= rolled >> np.uint64(29)
        inside = np.ones(len(rolled), dtype=bool)
        for back in range(1, SHINGLE):
            ends = (starts + sizes - back)[:-1]
            inside[ends] = False  # a shingle may not go over into the next text
        rolled = np.where(inside, rolled, rolled[np.repeat(starts, sizes)[: len(rolled)]])
        factors = np.random.default_rng(7).integers(1, 1 << 63, HASHES, dtype=np.uint64) | np.uint64(1)
        columns = [np.minimum.reduceat((rolled * factor) >> np.uint64(32), starts) for factor in factors]
    return np.stack(columns, axis=1).astype(np.uint32)


def _candidates(signatures: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (earlier, later) that share a band and whose signatures agree well enough to be worth comparing."""
    width = HASHES // BANDS
    pairs: list[np.ndarray] = []
    for band in range(BANDS):
        part = np.ascontiguousarray(signatures[:, band * width : (band + 1) * width]).view(f"V{4 * width}").ravel()
        _, inverse = np.unique(part, return_inverse=True)
        order = np.argsort(inverse, kind="stable")
        same = inverse[order][1:] == inverse[order][:-1]
        begins = np.maximum.accumulate(np.where(np.concatenate(([True], ~same)), np.arange(len(order)), 0))
        firsts, neighbours = order[begins][1:][same], order[:-1][same]
        later = order[1:][same]
        pairs += [np.stack([firsts, later], axis=1), np.stack([neighbours, later], axis=1)]
    unique = np.unique(np.concatenate(pairs), axis=0)
    if not len(unique):
        return []
    agree = (signatures[unique[:, 0]] == signatures[unique[:, 1]]).mean(axis=1)
    return [(int(one), int(two)) for one, two in unique[agree >= SIMILAR - 0.15]]


def _overlap(one: str, two: str) -> float:
    """The true Jaccard similarity of two texts' shingles."""
    if one == two:
        return 1.0
    left, right = ({text[at : at + SHINGLE] for at in range(max(len(text) - SHINGLE + 1, 1))} for text in (one, two))
    return len(left & right) / len(left | right)


CHECK = Check(
    "near_duplicates",
    "info",
    "rows nearly repeat an earlier row",
    "the same said in other words; a near-duplicate with another answer may be a fine distinction, so nothing is removed",
    compare=near_duplicates,
)
