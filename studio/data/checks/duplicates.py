"""Near-duplicates: rows that say nearly what an earlier row says."""

from __future__ import annotations

from array import array

import numpy as np

from studio.data.checks.base import Check, CheckResult, Said, Texts
from studio.data.near import SIMILAR, Clusters, Signatures, near_pairs, plain
from studio.data.split import digest
from studio.tracking.reporter import Reporter


class NearDuplicates:
    """Signs each text that is new, and joins those that are much alike; exact repeats are another check's."""

    def __init__(self) -> None:
        self._signatures = Signatures()
        self._seen: set[int] = set()
        self._rows = array("I")
        self._count = 0

    def add(self, said: Said) -> None:
        """Sign the row's text, if it is new."""
        text = plain(said.spoken)
        if (mark := digest(text)) not in self._seen:
            self._seen.add(mark)
            self._rows.append(self._count)
            self._signatures.add(text)
        self._count += 1

    def result(self, texts: Texts, reporter: Reporter) -> CheckResult:
        """Every row of a cluster but its first."""
        self._seen.clear()
        rows = self._rows
        clusters = Clusters(len(rows))
        pairs = near_pairs(
            self._signatures.table(), lambda index: plain(texts.spoken(rows[index])), reporter, known=clusters.joined
        )
        for one, two, _ in pairs:
            clusters.join(one, two)
        first = clusters.labels()
        later = np.flatnonzero(first != np.arange(len(rows)))
        sizes = np.bincount(first[later]) if len(later) else np.zeros(1, int)
        message = f"rows nearly repeat an earlier row; the largest group of such rows has {int(sizes.max()) + 1}"
        return CheckResult([rows[index] for index in later.tolist()], message=message if len(later) else "")


CHECK = Check(
    "near_duplicates",
    "info",
    "rows nearly repeat an earlier row",
    f"the same said in other words (under {SIMILAR:.0%} of five-letter pieces shared), so two changed words of a short row "
    "are missed; a near-duplicate with another answer may be a fine distinction, so nothing is removed",
    scan=NearDuplicates,
)
