"""Rows in another language than the others, and answers in another language than their question."""

from __future__ import annotations

import importlib
from array import array
from typing import Any

import numpy as np

from studio.data.checks.base import Check, Found, Said, Texts
from studio.tracking.reporter import Reporter

LETTERS, WORDS = 24, 4
"""What a text has at least for its language to be told."""
SURE = 0.95
"""Probability from which a language is believed."""
USUAL = 0.05
"""Share of the texts that a language of the dataset has at least."""
_LOOKED_AT = 300
"""Characters of a text that are looked at."""
_KNOWN = (
    "ar bg bn ca cs cy da de el en es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn ko la lt lv mk ml mn mr "
    "my ne nl no pa pl pt ro ru si sk sl sq sr sv sw ta te th tl tr uk ur uz vi zh"
)
"""Languages that are told apart; small neighbours of large ones are not, since short texts would be taken for them."""
_ALIKE = {
    "hr": "sr",
    "bs": "sr",
    "sr": "sr",
    "sl": "sr",
    "mk": "bg",
    "da": "no",
    "nn": "no",
    "sk": "cs",
    "gl": "es",
    "ca": "es",
}
"""Languages that short texts do not tell apart, by the one they are counted as."""
_UNSURE = 255


class Language:
    """Keeps two bytes a row: the language of the question and of the answer."""

    def __init__(self) -> None:
        detector: Any = importlib.import_module("py3langid.langid")
        self._model = detector.LanguageIdentifier.from_model_file("data/model.npz.xz", norm_probs=True)
        self._model.set_languages(set(_KNOWN.split()) & set(self._model.nb_classes))
        self._names: list[str] = []
        self._asked, self._answered = array("B"), array("B")

    def add(self, said: Said) -> None:
        """Tell the language of question and answer."""
        self._asked.append(self._of(said.question))
        self._answered.append(self._of(said.answer))

    def _of(self, text: str) -> int:
        text = " ".join(text[:_LOOKED_AT].split())
        if not text.isascii() and any("\u2e80" < letter < "\ua4d0" or "\uac00" <= letter < "\ud7b0" for letter in text):
            enough = len(text) >= 6  # scripts without spaces
        else:
            enough = text.count(" ") >= WORDS - 1 and sum(map(str.isalpha, text)) >= LETTERS
        if not enough:
            return _UNSURE
        told, sure = self._model.classify(text)
        if sure < SURE:
            return _UNSURE
        language = _ALIKE.get(str(told), str(told))
        if language not in self._names:
            self._names.append(language)
        return self._names.index(language)

    def found(self, texts: Texts, reporter: Reporter) -> Found:
        """Rows with a text in a language that few have, and rows that mix two where few do."""
        asked, answered = (np.frombuffer(codes, dtype=np.uint8) for codes in (self._asked, self._answered))
        both = np.concatenate([asked, answered])
        counts = np.bincount(both, minlength=_UNSURE + 1)[:_UNSURE]
        if not counts.sum():
            return Found(())
        rare = np.flatnonzero((counts > 0) & (counts < USUAL * counts.sum()))
        foreign = np.isin(asked, rare) | np.isin(answered, rare)
        mixed = (asked != answered) & (asked != _UNSURE) & (answered != _UNSURE)
        if mixed.mean() >= USUAL:  # translations, or questions about texts in another language
            mixed &= foreign
        usual = ", ".join(self._names[code] for code in np.argsort(-counts)[: int((counts >= USUAL * counts.sum()).sum())])

        def shown(index: int) -> str:
            names = [self._names[code] for code in (asked[index], answered[index]) if code != _UNSURE]
            return f"{' → '.join(dict.fromkeys(names))}: {texts.spoken(index)}"

        return Found(
            np.flatnonzero(foreign | mixed).tolist(),
            shown,
            f"rows are in another language than the dataset ({usual or 'several'}), or answer in another than they ask",
        )


CHECK = Check(
    "language",
    "warning",
    "rows are in another language than the dataset",
    f"texts under {WORDS} words, a language inside a text in another one, and languages much alike (Danish and Norwegian)",
    scan=Language,
    package="py3langid",
)
