"""Whether a passage says what a sentence of an answer says, as far as words show it: without a model, in any language.

What counts is what the sentence adds to the question. Its numbers and names must all stand in the passage, a number with the
same unit, and of the other words it adds four in five; half of them where it adds a number or a name. It shows an answer that
goes beyond its sources, not one that twists them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from studio.documents.records import Passage
from studio.evaluation.facts import facts_of
from studio.retrieval.words import terms

_TELLING, _BESIDE_A_FACT = 0.8, 0.5
_LEAST = 3
"""Letters of a word that says something."""
_STOP = frozenset(
    re.findall(
        r"\w+",
        """
        the and for are was were been being has have had will would can could may might must shall should with from that
        this these  those which who whom whose what when where how why not yes you your they their them its his her our but
        also than then there  here into about over only just very get gets does did per all any some such  der die das den
        dem des ein eine einen einem einer und oder ist sind war wird werden hat haben kann mit von vom zum zur aus  bei
        nach für auf auch nicht nur wie was sich  les des une est sont dans pour par avec sur qui que los las del una por
        con para como che gli dei della nel sono
        """,
    )
)
"""Words that say nothing by themselves."""
_ENDINGS = ("ing", "ed", "es", "en", "er", "e", "n", "s", "d")


@dataclass(frozen=True)
class Claim:
    """What a sentence of an answer adds to its question."""

    words: frozenset[str]
    """Stems of what it adds, numbers and names among them; of all it says where it adds nothing."""
    facts: frozenset[str]
    """Its numbers and names, as they are written but in lower case."""
    measures: frozenset[tuple[str, str]]
    """Its numbers with the word behind them."""

    @classmethod
    def of(cls, sentence: str, question: str = "") -> Claim:
        """The claim of a sentence."""
        sought, facts, said = stems(question), facts_of(sentence) - _STOP, stems(sentence)
        known = set(terms(question))
        new = said - sought
        if not new:
            return cls(frozenset(said), frozenset(facts), frozenset(_measures(sentence)))
        return cls(frozenset(new), frozenset(facts - known), frozenset(_measures(sentence)))

    def stands_in(self, passages: Sequence[Passage]) -> bool:
        """Whether these passages, taken together, say it."""
        there = {word for passage in passages for word in terms(passage.text)}
        if not all(fact in there or fact.removesuffix("s") in there for fact in self.facts):
            return False
        measured = {pair for passage in passages for pair in _measures(passage.text)}
        units = {unit for _, unit in measured}
        if any(unit in units and (number, unit) not in measured for number, unit in self.measures):
            return False
        found = len(self.words & {_stem(word) for word in there}) / len(self.words) if self.words else 0.0
        return found >= (_BESIDE_A_FACT if self.facts else _TELLING)


def stems(text: str) -> set[str]:
    """The words of a text that say something, without their endings."""
    return {_stem(word) for word in telling(text)}


def telling(text: str) -> list[str]:
    """The words of a text that say something, in lower case."""
    return [
        word for word in terms(text) if word.isdigit() or ((not word.isascii() or len(word) >= _LEAST) and word not in _STOP)
    ]


def about(question: str, passages: Sequence[Passage]) -> list[Passage]:
    """The passages that are about what is asked: of the words that tell them apart, they have half as many as the best."""
    words = [_subject(passage) for passage in passages]
    everywhere = set.intersection(*words) if words else set[str]()
    sought = stems(question) - everywhere
    held = [len(sought & these) for these in words]
    most = max(held, default=0)
    return [passage for passage, count in zip(passages, held, strict=True) if 2 * count > most or count == most]


def _subject(passage: Passage) -> set[str]:
    return stems(f"{passage.document} {' '.join(passage.heading_path)} {passage.text}")


def _measures(text: str) -> set[tuple[str, str]]:
    words = terms(text)
    return {
        (number, _stem(unit)) for number, unit in pairwise(words) if number.isdigit() and unit.isalpha() and unit not in _STOP
    }


def _stem(word: str) -> str:
    if word.endswith(("ies", "ied")):
        return word[:-3] + "y"
    ending = next((ending for ending in _ENDINGS if word.endswith(ending) and len(word) - len(ending) >= _LEAST), "")
    return word.removesuffix(ending) if word.isascii() else word
