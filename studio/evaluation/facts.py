"""Numbers and names: what an answer of several sentences states, which likeness of wording does not see."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from studio.evaluation.overlap import spoken
from studio.evaluation.report import Answered

LEAST = 10
"""Numbers and names in the references below which nothing is said of them."""
_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"(?<=[.!?。！？:])\s+|\n+")


@dataclass(frozen=True)
class Facts:
    """How many numbers and names of the references the tuned answers have, and how many of theirs are in no reference."""

    wanted: int
    repeated: int
    stated: int
    foreign: int

    @property
    def mostly_wrong(self) -> bool:
        """Most of what the references state is missing, and most of what is stated instead is not in them."""
        return self.wanted >= LEAST and 2 * self.repeated < self.wanted and 2 * self.foreign > self.stated

    def sentence(self) -> str:
        """Both shares in words; nothing where the references state too little."""
        if self.wanted < LEAST:
            return ""
        return (
            f"of the {self.wanted:,} numbers and names in the references {self.repeated:,} are in the tuned answers, and of "
            f"the {self.stated:,} that those state {self.foreign:,} are not in the reference"
        )


def facts_of(text: str) -> set[str]:
    """Numbers, words with a capital letter that do not begin a sentence, and those that are all capitals; in lower case."""
    found: set[str] = set()
    for sentence in _SENTENCE.split(text):
        for position, word in enumerate(_WORD.findall(sentence)):
            capital = len(word) > 1 and word[0].isupper() and (position > 0 or word.isupper())
            if word.isdigit() or capital:
                found.add(word.lower())
    return found


def stated(answers: Sequence[Answered]) -> Facts:
    """What the references and the tuned answers state beyond their questions."""
    wanted = repeated = count = foreign = 0
    for answer in answers:
        question, reference, tuned = (_words(text) for text in (answer.question, answer.reference, answer.tuned.text))
        right, own = (facts_of(spoken(text)) - question for text in (answer.reference, answer.tuned.text))
        wanted, repeated = wanted + len(right), repeated + len(right & tuned)
        count, foreign = count + len(own), foreign + len(own - reference)
    return Facts(wanted, repeated, count, foreign)


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORD.findall(text)}
