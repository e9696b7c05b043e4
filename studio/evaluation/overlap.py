"""How near an answer comes to its reference: exact match, normalised match, token F1 and ROUGE-L.

Written here rather than taken from `rouge-score`, whose tokenizer deletes every letter outside a-z: German, Greek or
Chinese answers would be compared by what is left of them.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

SHORT = 12
"""Words: references that are no longer are right as a whole, in other case and punctuation."""

_UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
"""Kana and Han, written without spaces: each character counts as a word, as in MLQA (Lewis et al. 2020)."""

_IN_NUMBER = re.compile(r"(?<=\d)\.(?=\d)|(?<![\w.])-(?=\d)")
"""The point of 1.5 and the sign of -5, which SQuAD's normalisation would delete and so make 15 and 5 of them."""

_THINKING = "</think>"


def spoken(text: str) -> str:
    """The answer itself: what follows a reasoning block, without surrounding white space."""
    return text.rpartition(_THINKING)[2].strip()


def exact_match(reference: str, answer: str) -> float:
    """1.0 if both are the same characters, surrounding white space aside."""
    return float(spoken(reference) == spoken(answer))


def normalised_match(reference: str, answer: str) -> float:
    """1.0 if both are the same after `normalise` (SQuAD's exact match, Rajpurkar et al. 2016)."""
    return float(normalise(reference) == normalise(answer))


def contains_reference(reference: str, answer: str) -> float:
    """1.0 if the reference, normalised, stands in the answer word for word, as retrieved answers are measured (Mallen et al.
    2023): "MC-15" in "Its code is MC-15." An answer that lists everything has it too."""
    wanted, given = words(normalise(reference)), words(normalise(answer))
    places = range(len(given) - len(wanted) + 1)
    return float(bool(wanted) and any(given[place : place + len(wanted)] == wanted for place in places))


def token_f1(reference: str, answer: str) -> float:
    """Harmonic mean of precision and recall over the bag of normalised words (SQuAD's F1, Rajpurkar et al. 2016).

    If either has no words left, 1.0 when both have none, else 0.0, as in SQuAD 2.
    """
    wanted, given = words(normalise(reference)), words(normalise(answer))
    common = sum((Counter(wanted) & Counter(given)).values())
    return _f_measure(common, len(wanted), len(given))


def rouge_l(reference: str, answer: str) -> float:
    """F-measure of the longest common subsequence of words, over the whole text (ROUGE-L with beta 1, Lin 2004)."""
    wanted, given = (words(_unmarked(spoken(text).lower(), " ")) for text in (reference, answer))
    return _f_measure(common_subsequence(wanted, given), len(wanted), len(given))


def normalise(text: str) -> str:
    """Lower case, without punctuation and the articles a, an, the, with single spaces (SQuAD's; numbers stay whole).

    An answer that is nothing but an article stays: choice A is not an empty answer.
    """
    plain = _unmarked(spoken(text).lower(), "")
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split()) or " ".join(plain.split())


def are_short(references: Sequence[str]) -> bool:
    """Whether nine in ten references have at most `SHORT` words: such answers are right as a whole or wrong."""
    lengths = sorted(len(words(reference)) for reference in references if reference)
    return not lengths or lengths[int(0.9 * (len(lengths) - 1))] <= SHORT


def words(text: str) -> list[str]:
    """The words of a text, in order."""
    return _UNSPACED.sub(r" \1 ", text).split()


def is_unspaced(sign: str) -> bool:
    """Whether a character belongs to a writing without spaces between words."""
    return bool(_UNSPACED.match(sign))


def common_subsequence(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence, a whole row of bits at once (Hyyrö 2004): long texts take milliseconds."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(one)) - 1
    unmatched = every
    for word in other:
        hits = unmatched & places.get(word, 0)
        unmatched = ((unmatched + hits) | (unmatched - hits)) & every
    return len(one) - unmatched.bit_count()


def _unmarked(text: str, instead: str) -> str:
    kept = {found.start() for found in _IN_NUMBER.finditer(text)}
    return "".join(instead if _is_mark(sign) and place not in kept else sign for place, sign in enumerate(text))


def _is_mark(sign: str) -> bool:
    return sign in string.punctuation or unicodedata.category(sign).startswith("P")


def _f_measure(common: int, wanted: int, produced: int) -> float:
    """2PR / (P + R) = 2 common / (wanted + given)."""
    return 2 * common / (wanted + produced) if wanted and produced else float(wanted == produced)
