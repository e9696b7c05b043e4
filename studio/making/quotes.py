"""Whether a quote is in a passage, and where; whether an answer's figures are."""

from __future__ import annotations

import re
import unicodedata

_ALIKE = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "’": "'", "‘": "'", "–": "-", "—": "-", "‐": "-"})
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_ONES = "zero one two three four five six seven eight nine"
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_WORDS = {word: value for value, word in enumerate(f"{_ONES} {_TEENS}".split())}
_DECADES = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * value for value, word in enumerate(_DECADES.split(), 2)}


def find_quote(passage: str, quote: str) -> tuple[int, int] | None:
    """Where a quote stands in a passage, in characters; case, spacing and kinds of quotation marks do not matter."""
    wanted, _ = _plain(quote.strip().strip("\"'…. "))
    text, positions = _plain(passage)
    if not wanted.strip():
        return None
    at = text.find(wanted)
    if at < 0:
        return None
    return positions[at], positions[at + len(wanted) - 1] + 1


def _plain(text: str) -> tuple[str, list[int]]:
    """The text as it is compared, and for each of its characters the position in the original."""
    letters: list[str] = []
    positions: list[int] = []
    for position, letter in enumerate(text):
        plain = unicodedata.normalize("NFKC", letter).translate(_ALIKE).casefold()
        if plain.isspace():
            if not letters or letters[-1] == " ":
                continue
            plain = " "
        letters += plain
        positions += [position] * len(plain)
    return "".join(letters), positions


def unsupported_numbers(answer: str, *texts: str) -> list[str]:
    """The numbers in an answer that none of the texts has, in digits or in English words."""
    known = {_number(found) for text in texts for found in _NUMBER.findall(text)}
    words = set(re.findall(r"[a-z]+", " ".join(texts).lower()))
    ones = [value for word, value in _WORDS.items() if word in words]
    tens = [value for word, value in _TENS.items() if word in words]
    known |= {str(value) for value in (*ones, *tens, *(ten + one for ten in tens for one in ones if 0 < one < 10))}
    return [found for found in _NUMBER.findall(answer) if _number(found) not in known]


def _number(text: str) -> str:
    return text.replace(",", "").rstrip(".").lstrip("0") or "0"
