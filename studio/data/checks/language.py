"""Rows in another language than the others, and answers in another language than their question."""

from __future__ import annotations

from array import array

import numpy as np

from studio.data import language
from studio.data.checks.base import Check, CheckResult, Said, Texts
from studio.tracking.reporter import Reporter

USUAL = 0.05
"""Share of the texts that a language of the dataset has at least."""
_UNSURE = 255


class Language:
    """Keeps two bytes a row: the language of the question and of the answer."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._asked, self._answered = array("B"), array("B")

    def add(self, said: Said) -> None:
        """Tell the language of question and answer."""
        self._asked.append(self._of(said.question))
        self._answered.append(self._of(said.answer))

    def _of(self, text: str) -> int:
        name = language.of(text)
        if not name:
            return _UNSURE
        if name not in self._names:
            self._names.append(name)
        return self._names.index(name)

    def result(self, texts: Texts, reporter: Reporter) -> CheckResult:
        """Rows with a text in a language that few have, and rows that mix two where few do."""
        asked, answered = (np.frombuffer(codes, dtype=np.uint8) for codes in (self._asked, self._answered))
        both = np.concatenate([asked, answered])
        counts = np.bincount(both, minlength=_UNSURE + 1)[:_UNSURE]
        if not counts.sum():
            return CheckResult(())
        rare = np.flatnonzero((counts > 0) & (counts < USUAL * counts.sum()))
        foreign = np.isin(asked, rare) | np.isin(answered, rare)
        mixed = (asked != answered) & (asked != _UNSURE) & (answered != _UNSURE)
        if mixed.mean() >= USUAL:  # translations, or questions about texts in another language
            mixed &= foreign
        frequent: list[int] = np.argsort(-counts)[: int((counts >= USUAL * counts.sum()).sum())].tolist()
        usual = ", ".join(self._names[code] for code in frequent)

        def shown(index: int) -> str:
            names = [self._names[code] for code in (int(asked[index]), int(answered[index])) if code != _UNSURE]
            return f"{' → '.join(dict.fromkeys(names))}: {texts.spoken(index)}"

        return CheckResult(
            np.flatnonzero(foreign | mixed).tolist(),
            shown,
            f"rows are in another language than the dataset ({usual or 'several'}), or answer in another than they ask",
        )


CHECK = Check(
    "language",
    "warning",
    "rows are in another language than the dataset",
    f"texts under {language.WORDS} words, a language inside a text in another one, and languages much alike "
    "(Danish and Norwegian)",
    scan=Language,
    package="py3langid",
)
