"""Labels: a closed set of short answers. Accuracy, macro-F1, and the confusion matrix."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from studio.evaluation.interval import Column, Draws
from studio.evaluation.overlap import is_unspaced, normalise, spoken, words
from studio.evaluation.tasks.task import Scorer, Task, share_metric

ROWS = 20
"""Fewer references do not show that a set of labels is closed."""
EACH = 5
"""Rows a label must have on average."""
LONGEST = 3
"""Words of a label."""
SHOWN = 12
"""Labels the confusion matrix names, the most frequent first; the others are added up."""
OTHER = "(no label)"
"""An answer that names no label, or several."""
REST = "(other labels)"

ACCURACY = share_metric(
    "label_accuracy",
    "Accuracy",
    "share of answers with the right label: alone, without case and punctuation, or as the only label the answer names",
)
MACRO_F1 = share_metric(
    "macro_f1", "Macro-F1", "mean over the labels of 2TP / (2TP + FP + FN): rare labels count like common ones"
)


@dataclass(frozen=True)
class Confusion:
    """Which label was answered where which was right: rows are references, columns answers, `labels` names both.

    The last label is `OTHER`, which no reference has.
    """

    labels: list[str]
    base: list[list[int]] = field(default_factory=list)
    tuned: list[list[int]] = field(default_factory=list)


def recognise(references: Sequence[str]) -> bool:
    """Few different short answers, each given many times."""
    counts = Counter(normalise(reference) for reference in references)
    short = all(0 < len(words(label)) <= LONGEST for label in counts)
    return len(references) >= ROWS and short and 2 <= len(counts) <= len(references) / EACH


class Reader:
    """Finds the label in an answer."""

    def __init__(self, references: Sequence[str]) -> None:
        first: dict[str, str] = {}
        for reference in references:
            first.setdefault(normalise(reference), spoken(reference))
        self.names = first
        """The labels by their normalised form, each as its first reference writes it."""
        self._letters = all(len(label) == 1 for label in first)
        """Choices such as A to D: as words of an answer they count only as the references write them, for `a` is an article."""
        shown = first.values() if self._letters else first
        self._patterns = {label: _alone(words) for label, words in zip(first, shown, strict=True) if label}

    def label(self, answer: str) -> str:
        """The normalised label of an answer; empty if it names none or several."""
        text = normalise(answer)
        if text in self.names:
            return text
        text = spoken(answer) if self._letters else text
        found = [label for label, pattern in self._patterns.items() if pattern.search(text)]
        longest = [label for label in found if not any(label != other and label in other for other in found)]
        return longest[0] if len(longest) == 1 else ""


def _alone(label: str) -> re.Pattern[str]:
    """A label as words of its own; beside characters that are written without spaces, wherever it stands."""
    before = "" if is_unspaced(label[0]) else r"(?<!\w)"
    return re.compile(before + re.escape(label) + ("" if is_unspaced(label[-1]) else r"(?!\w)"))


def scorer(references: Sequence[str]) -> Scorer:
    """Accuracy of one answer; macro-F1 is a figure of many (`MacroF1`)."""
    reader = Reader(references)
    return lambda reference, answer: {ACCURACY.name: float(reader.label(answer) == normalise(reference))}


class MacroF1:
    """Macro-F1 over rows, as a figure that can be resampled."""

    bounds = (0.0, 1.0)

    def __init__(self, references: Sequence[str], answers: Sequence[str]) -> None:
        reader = Reader(references)
        wanted = np.array([normalise(reference) for reference in references])
        answered = np.array([reader.label(answer) for answer in answers])
        labels = sorted(set(wanted.tolist()))
        right = np.stack([(wanted == label) & (answered == label) for label in labels], axis=1)
        named = np.stack([(wanted == label).astype(np.float64) + (answered == label) for label in labels], axis=1)
        self._right, self._named = right.astype(np.float64), named
        self.per_row: Column = (wanted == answered).astype(np.float64)

    @property
    def value(self) -> float:
        """The figure over all rows."""
        return float(_macro(self._right.sum(0), self._named.sum(0)))

    def resampled(self, draws: Draws) -> Column:
        """The figure over each draw of rows, shape (resamples,). A label no drawn row has is not counted in that draw."""
        return _macro(draws.sums(self._right), draws.sums(self._named))


def _macro(right: Column, named: Column) -> Column:
    """Mean over the labels of 2TP / (references + answers of the label), shape (..., labels) → (...)."""
    present = named > 0
    scores = np.where(present, 2 * right / np.maximum(named, 1e-12), 0.0)
    return scores.sum(-1) / np.maximum(present.sum(-1), 1)


def confusion(references: Sequence[str], base: Sequence[str], tuned: Sequence[str]) -> Confusion:
    """Both models' confusion matrices over the same labels."""
    reader = Reader(references)
    wanted = [normalise(reference) for reference in references]
    common = [label for label, _ in Counter(wanted).most_common()]
    shown = common if len(common) <= SHOWN else common[: SHOWN - 1]
    rest = len(common) > len(shown)
    names = [*(reader.names[label] for label in shown), *([REST] if rest else []), OTHER]
    index = {label: min(place, len(shown)) for place, label in enumerate(common)}

    def counted(answers: Sequence[str]) -> list[list[int]]:
        table = np.zeros((len(names), len(names)), dtype=int)
        for label, answer in zip(wanted, answers, strict=True):
            table[index[label], index.get(reader.label(answer), len(names) - 1)] += 1
        return table.tolist()

    return Confusion(names, counted(base), counted(tuned))


TASK = Task(
    "labels", (ACCURACY, MACRO_F1), "the references are a closed set of labels: an answer names the right one or not",
    recognise, scorer,
)  # fmt: skip
