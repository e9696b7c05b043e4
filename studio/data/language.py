"""The language of a text, where it is long enough to tell."""

from __future__ import annotations

import functools
import importlib
from typing import Any

LETTERS, WORDS = 24, 4
"""What a text has at least for its language to be told."""
SURE = 0.95
"""Probability from which a language is believed."""
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


def of(text: str) -> str:
    """The language of a text in two letters; empty if it is too short or not sure."""
    text = " ".join(text[:_LOOKED_AT].split())
    if not text.isascii() and any("\u2e80" < letter < "\ua4d0" or "\uac00" <= letter < "\ud7b0" for letter in text):
        enough = len(text) >= 6  # scripts without spaces
    else:
        enough = text.count(" ") >= WORDS - 1 and sum(map(str.isalpha, text)) >= LETTERS
    if not enough:
        return ""
    name, probability = _model().classify(text)
    return _ALIKE.get(str(name), str(name)) if probability >= SURE else ""


def of_most(texts: list[str]) -> str:
    """The language that most of some texts are in, by their characters; empty if none can be told."""
    counts: dict[str, int] = {}
    for text in texts:
        if name := of(text):
            counts[name] = counts.get(name, 0) + len(text)
    return max(counts, key=counts.__getitem__) if counts else ""


@functools.cache
def _model() -> Any:
    detector: Any = importlib.import_module("py3langid.langid")
    model = detector.LanguageIdentifier.from_model_file("data/model.npz.xz", norm_probs=True)
    model.set_languages(set(_KNOWN.split()) & set(model.nb_classes))
    return model
