"""Search by words: Okapi BM25 (Robertson et al. 1994) over sparse columns, exact and in memory."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

K1, B = 1.5, 0.75
_WORD = re.compile(r"\w+")
_UNSPACED = re.compile(r"[\u2e80-\ua4cf\uac00-\ud7af]+")
"""Scripts without spaces: their pairs of characters are taken as words."""


def terms(text: str) -> list[str]:
    """The words of a text in lower case, as search counts them."""
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        if not word.isascii() and _UNSPACED.search(word):
            found += [word[index : index + 2] for index in range(max(1, len(word) - 1))]
        else:
            found.append(word)
    return found


class WordIndex:
    """BM25 scores of passages. For each term the passages it is in, and what each gains by it."""

    def __init__(
        self,
        vocabulary: Sequence[str],
        starts: NDArray[np.int64],
        rows: NDArray[np.int32],
        gains: NDArray[np.float32],
        count: int,
    ) -> None:
        self._terms = {term: index for index, term in enumerate(vocabulary)}
        self._starts, self._rows, self._gains = starts, rows, gains
        self.count = count
        """How many passages it has."""

    @classmethod
    def build(cls, texts: Iterable[str]) -> WordIndex:
        """The index of some texts."""
        counts = [Counter(terms(text)) for text in texts]
        vocabulary = sorted({term for count in counts for term in count})
        numbers = {term: index for index, term in enumerate(vocabulary)}
        lengths = np.array([sum(count.values()) for count in counts], dtype=np.float64)
        mean = lengths.mean() if len(lengths) and lengths.mean() else 1.0
        pairs = [(numbers[term], row, often) for row, count in enumerate(counts) for term, often in count.items()]
        columns = np.array(pairs, dtype=np.int64).reshape(-1, 3)
        columns = columns[np.argsort(columns[:, 0], kind="stable")]
        frequency = np.bincount(columns[:, 0], minlength=len(vocabulary))
        starts = np.concatenate([[0], np.cumsum(frequency)]).astype(np.int64)
        rarity = np.log(1 + (len(counts) - frequency + 0.5) / (frequency + 0.5))
        often, rows = columns[:, 2].astype(np.float64), columns[:, 1]
        gains = rarity[columns[:, 0]] * often * (K1 + 1) / (often + K1 * (1 - B + B * lengths[rows] / mean))
        return cls(vocabulary, starts, rows.astype(np.int32), gains.astype(np.float32), len(counts))

    def search(self, question: str, most: int) -> list[tuple[int, float]]:
        """The best passages as (row, score), best first; only those that share a word with the question."""
        scores = np.zeros(self.count, dtype=np.float32)
        for term in terms(question):
            number = self._terms.get(term)
            if number is not None:
                span = slice(self._starts[number], self._starts[number + 1])
                scores[self._rows[span]] += self._gains[span]
        return best(scores, most, above=0.0)

    def write(self, path: Path) -> None:
        """Write it as one file of arrays without pickles."""
        text = np.frombuffer("\n".join(self._terms).encode(), dtype=np.uint8)
        with open(path, "wb") as out:
            np.savez(out, terms=text, starts=self._starts, rows=self._rows, gains=self._gains, count=np.array(self.count))

    @classmethod
    def read(cls, path: Path) -> WordIndex:
        """The index that `write` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            text = arrays["terms"].tobytes().decode()
            vocabulary = text.split("\n") if text else []
            return cls(vocabulary, arrays["starts"], arrays["rows"], arrays["gains"], int(arrays["count"]))


def best(scores: NDArray[np.float32], most: int, above: float = -np.inf) -> list[tuple[int, float]]:
    """The rows with the highest scores, best first; of equal ones the first."""
    most = min(most, len(scores))
    if most == 0:
        return []
    rows = np.argpartition(-scores, most - 1)[:most]
    rows = rows[np.lexsort((rows, -scores[rows]))]
    return [(int(row), float(scores[row])) for row in rows if scores[row] > above]
