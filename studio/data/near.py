"""Near-duplicates among many texts: MinHash over five-character shingles, verified by the true overlap.

Signatures take 256 bytes a text; the texts themselves are asked for again only where two signatures agree.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from studio.core.errors import Stopped
from studio.data.split import normal
from studio.tracking.reporter import Reporter, Silent

SIMILAR = 0.7
"""Jaccard similarity of the shingles from which two texts are near-duplicates."""
SHINGLE = 5
_HASHES, _BANDS = 64, 16
_BLOCK = 2_000
_ESTIMATE = SIMILAR - 0.15
"""Share of equal hashes from which the true overlap is computed."""
_PAIRS_AT_ONCE = 10_000


AGREE = 0.5
"""F1 of the words of two answers from which they are taken for the same said otherwise."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def agree(one: str, two: str) -> bool:
    """Whether two answers say about the same: half of their words shared, and no other number in either."""
    numbers = set(_NUMBER.findall(one)), set(_NUMBER.findall(two))
    if numbers[0] and numbers[1] and numbers[0].isdisjoint(numbers[1]):
        return False
    left, right = Counter(normal(one).split()), Counter(normal(two).split())
    shared = (left & right).total()
    return 2 * shared >= AGREE * (left.total() + right.total())


def number_mark(text: str) -> int:
    """A bit for each number in a text, of 64: two texts with marks that share no bit have no number in common."""
    mark = 0
    for number in _NUMBER.findall(text):
        mark |= 1 << (zlib.crc32(number.encode()) & 63)
    return mark


def plain(text: str) -> str:
    """The text as it is compared: without case and with single spaces."""
    return " ".join(text.casefold().split())


class Signatures:
    """Collects the MinHash signatures of texts one by one."""

    def __init__(self) -> None:
        self._bytes = bytearray()  # grows in place, where joining blocks of an array would take twice the memory
        self._waiting: list[str] = []

    def add(self, text: str) -> None:
        """Take one more text, made plain."""
        self._waiting.append(text)
        if len(self._waiting) >= _BLOCK:
            self._hash()

    def table(self) -> np.ndarray:
        """All signatures, uint32 [texts, hashes]."""
        self._hash()
        return np.frombuffer(self._bytes, dtype=np.uint32).reshape(-1, _HASHES)

    def _hash(self) -> None:
        if self._waiting:
            self._bytes += _signatures(self._waiting).tobytes()
            self._waiting = []


def near_pairs(
    signatures: np.ndarray,
    text: Callable[[int], str],
    reporter: Reporter | None = None,
    similar: float = SIMILAR,
    part: np.ndarray | None = None,
    rank: np.ndarray | None = None,
    numbers: np.ndarray | None = None,
    known: Callable[[int, int], bool] = lambda one, two: False,
) -> Iterator[tuple[int, int, float]]:
    """Pairs (earlier, later) of near-duplicates with their similarity, by rising index of the earlier.

    Not every pair of a cluster is given, only enough to join it. text: a text by its index, made plain; part: pairs
    inside the same part (of two) are left out, bool [texts]; rank: a number of each text by which those with the same key are
    put in order, so that the order of the texts does not matter; numbers: `number_mark` of what each says, where pairs that
    share none are of no use; known: whether a pair is of no use any more. Raises Stopped when asked to stop.
    """
    reporter = reporter or Silent()
    pairs = _candidates(signatures, part, rank)
    if numbers is not None:
        one, two = numbers[pairs >> np.uint64(32)], numbers[pairs & np.uint64(0xFFFFFFFF)]
        pairs = pairs[(one == 0) | (two == 0) | ((one & two) != 0)]
    last, shingles = -1, frozenset[str]()
    for done, pair in enumerate(pairs.tolist()):
        one, two = pair >> 32, pair & 0xFFFFFFFF
        if done % 5_000 == 0:
            if reporter.should_stop():
                raise Stopped
            reporter.progress(done, len(pairs), "Comparing rows that are much alike")
        if known(one, two):
            continue
        if one != last:
            last, shingles = one, _shingles(text(one))
        other = _shingles(text(two))
        shared = len(shingles & other)
        overlap = shared / (len(shingles) + len(other) - shared)
        if overlap >= similar:
            yield one, two, overlap


class Clusters:
    """Which of `count` texts are together: each for itself at first, joined pair by pair."""

    def __init__(self, count: int) -> None:
        self._parent, self._size = list(range(count)), [1] * count
        self.largest = min(count, 1)
        """Texts in the largest cluster."""

    def join(self, one: int, two: int) -> None:
        """Put the clusters of two texts together."""
        left, right = sorted((self._root(one), self._root(two)))
        if left != right:
            self._parent[right] = left
            self._size[left] += self._size[right]
            self.largest = max(self.largest, self._size[left])

    def joined(self, one: int, two: int) -> bool:
        """Whether two texts are together."""
        return self._root(one) == self._root(two)

    def labels(self) -> np.ndarray:
        """For each text the smallest index of its cluster; itself where nothing is like it. int64 [count]."""
        count = len(self._parent)
        return np.fromiter((self._root(index) for index in range(count)), dtype=np.int64, count=count)

    def _root(self, index: int) -> int:
        parent = self._parent
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index


def _shingles(text: str) -> frozenset[str]:
    return frozenset([text[at : at + SHINGLE] for at in range(max(len(text) - SHINGLE + 1, 1))])


def _signatures(texts: list[str]) -> np.ndarray:
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
        factors = np.random.default_rng(7).integers(1, 1 << 63, _HASHES, dtype=np.uint64) | np.uint64(1)
        columns = [np.minimum.reduceat((rolled * factor) >> np.uint64(32), starts) for factor in factors]
    return np.stack(columns, axis=1).astype(np.uint32)


def _candidates(signatures: np.ndarray, part: np.ndarray | None, rank: np.ndarray | None) -> np.ndarray:
    """Pairs that share a band and whose signatures agree well enough, as earlier << 32 | later; uint64, sorted."""
    width = _HASHES // _BANDS
    found: list[np.ndarray] = []
    for band in range(_BANDS):
        keys = _mixed(signatures[:, band * width : (band + 1) * width])
        one, two = _neighbours(keys, rank) if part is None else _across(keys, part)
        packed = _distinct((np.minimum(one, two).astype(np.uint64) << np.uint64(32)) | np.maximum(one, two).astype(np.uint64))
        found.append(packed[_agree(signatures, packed)])
    return _distinct(np.concatenate(found))


def _distinct(numbers: np.ndarray) -> np.ndarray:
    """The different ones in order. By sorting: `np.unique` hashes, which takes ten times as long for numbers of 64 bits."""
    numbers = np.sort(numbers)
    return numbers[np.concatenate((np.ones(min(len(numbers), 1), dtype=bool), numbers[1:] != numbers[:-1]))]


def _neighbours(keys: np.ndarray, rank: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Of rows with the same key, each with the first one and with the one before it."""
    order = np.argsort(keys, kind="stable") if rank is None else np.lexsort((rank, keys))
    same = keys[order][1:] == keys[order][:-1]
    begins = np.maximum.accumulate(np.where(np.concatenate(([True], ~same)), np.arange(len(order)), 0))
    later = order[1:][same]
    return np.concatenate([order[begins][1:][same], order[:-1][same]]), np.concatenate([later, later])


def _across(keys: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row of part 0 with the first and the last row of part 1 that have the same key."""
    here, there = np.flatnonzero(part == 0), np.flatnonzero(part != 0)
    there = there[np.argsort(keys[there], kind="stable")]
    left = np.searchsorted(keys[there], keys[here], side="left")
    right = np.searchsorted(keys[there], keys[here], side="right")
    both = left < right
    here = here[both]
    return np.concatenate([here, here]), np.concatenate([there[left[both]], there[right[both] - 1]])


def _agree(signatures: np.ndarray, packed: np.ndarray) -> np.ndarray:
    agree = np.empty(len(packed), dtype=bool)
    for start in range(0, len(packed), _PAIRS_AT_ONCE):
        some = packed[start : start + _PAIRS_AT_ONCE]
        one, two = (some >> np.uint64(32)).astype(np.int64), (some & np.uint64(0xFFFFFFFF)).astype(np.int64)
        agree[start : start + len(some)] = (signatures[one] == signatures[two]).mean(axis=1) >= _ESTIMATE
    return agree


def _mixed(columns: np.ndarray) -> np.ndarray:
    """One number for each row of a few 32-bit numbers."""
    mixed = np.zeros(len(columns), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in columns.T:
            mixed = (mixed ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(31)
    return mixed
