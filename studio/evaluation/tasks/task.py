"""Task: a kind of answers, with its figures and how its references are recognised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from studio.evaluation.metric import Metric

Scorer = Callable[[str, str], dict[str, float]]
"""`scorer(reference, answer)`: the task's figures of one answer, each 0 to 1."""

MOST = 0.9
"""Share of the references that have to be of a kind before all are scored as that kind."""


@dataclass(frozen=True)
class Task:
    """A kind of answers.

    metrics: its figures beside those of any text, the first of which is read first. why: the reason shown for that, as a
    clause. recognise: whether references are of this kind. scorer: made from all references of a set, since some figures
    depend on the others (the labels there are, the keys every object has).
    """

    kind: str
    metrics: tuple[Metric, ...]
    why: str
    recognise: Callable[[Sequence[str]], bool]
    scorer: Callable[[Sequence[str]], Scorer]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its figures."""
        return tuple(metric.name for metric in self.metrics)


def mostly(references: Sequence[str], is_one: Callable[[str], bool]) -> bool:
    """Whether nearly all references are of a kind."""
    return bool(references) and sum(map(is_one, references)) >= MOST * len(references)


def share_metric(name: str, label: str, formula: str) -> Metric:
    """A figure from 0 to 1, larger is better."""
    return Metric(name, label, "higher", "share", formula)
