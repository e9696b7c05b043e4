"""What a person thinks of pairs of answers, blind: which is better is asked without saying whose it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from studio.core.files import read_json_lines
from studio.core.records import Record
from studio.evaluation.judge.questions import Choice, Pair
from studio.evaluation.judge.report import Winner
from studio.evaluation.report import Answered, SetReport

WANTED = 25
"""Pairs shown to a person."""


class Rating(Record):
    """One pair as a person rated it; a line of `evaluation/ratings.jsonl`, the last one of a pair counts."""

    label: ClassVar[str] = "rating"
    remedy: ClassVar[str] = "Delete evaluation/ratings.jsonl and rate again."

    key: str
    """Of the question and both answers: a rating does not survive another evaluation."""
    winner: Winner
    at: float


@dataclass(frozen=True)
class Blind:
    """A pair as it is shown. index: of the answer in its set; tuned_first: what the person does not see."""

    index: int
    question: str
    reference: str
    a: str
    b: str
    tuned_first: bool
    key: str

    def winner(self, choice: Choice) -> Winner:
        """Whose answer a choice was."""
        if choice == "tie":
            return "tie"
        return "tuned" if (choice == "A") == self.tuned_first else "base"


def key(row: Answered) -> str:
    """What a rating belongs to."""
    return hashlib.sha256("\0".join((row.question, row.base.text, row.tuned.text)).encode()).hexdigest()[:16]


def pair(row: Answered) -> Pair:
    """An answered row as a judge reads it."""
    return Pair(row.question, row.reference, row.base.text, row.tuned.text)


def chosen(report: SetReport, most: int, seed: int) -> list[int]:
    """The answers that are judged or rated: those that differ, drawn by the seed. Equal answers are ties without asking."""
    differ = [index for index, row in enumerate(report.answers) if row.base.text != row.tuned.text]
    order = np.random.default_rng(seed).permutation(len(differ))[:most]
    return sorted(differ[place] for place in order)


def blind(report: SetReport, most: int = WANTED, seed: int = 0) -> list[Blind]:
    """Pairs to be rated, in random order, each with a random side first; the same for the same answers."""
    shown = []
    for index in chosen(report, most, seed):
        row = report.answers[index]
        first = int(key(row), 16) % 2 == 0
        a, b = (row.tuned.text, row.base.text) if first else (row.base.text, row.tuned.text)
        shown.append(Blind(index, row.question, row.reference, a, b, first, key(row)))
    return sorted(shown, key=lambda item: item.key)


def read(file: Path, answers: Sequence[Answered]) -> dict[int, Winner]:
    """The ratings of these answers, by their index."""
    ratings = [Rating.from_json(line, str(file)) for line in read_json_lines(file)]
    known: dict[str, Winner] = {item.key: item.winner for item in ratings}
    return {index: known[key(row)] for index, row in enumerate(answers) if key(row) in known}
