"""Standard benchmarks of a run: base, tuned and exports on the same documents, with paired intervals."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from studio.core.records import Record
from studio.core.text import plural
from studio.evaluation.interval import Draws, Estimate, change, estimate, mean


class TaskResult(Record):
    """One task: the score of every document by side. The base comes first."""

    task: str
    metric: str
    scores: dict[str, tuple[float, ...]]
    """By side, in the order of the documents, which is the same on every side."""

    def side(self, name: str) -> Estimate:
        """A side's mean score with its interval."""
        return estimate(self._mean(name), self._draws)

    def change(self, name: str, against: str = "base") -> Estimate:
        """The paired change of a side."""
        return change(self._mean(against), self._mean(name), self._draws)

    @property
    def _draws(self) -> Draws:
        return Draws(len(next(iter(self.scores.values()))), 1000, 0)

    def _mean(self, name: str) -> Any:
        values = np.array(self.scores[name])
        bounds = (0.0, 1.0) if all(0 <= value <= 1 for side in self.scores.values() for value in side) else None
        return mean(values, bounds)


class StandardReport(Record):
    """Standard benchmarks of a run; `evaluation/standard.json`."""

    label: ClassVar[str] = "report on standard benchmarks"
    remedy: ClassVar[str] = "Create it again: studio eval RUN --tasks TASK."
    columns: ClassVar[tuple[str, ...]] = ("Task", "Metric", "Documents", "Model", "Score", "Change against base")
    """Of `rows`."""

    tasks: tuple[TaskResult, ...]
    harness: str
    """The version of lm-evaluation-harness."""
    template: bool
    """The chat template was used."""
    limit: int | None = None
    """Documents of each task; None: all."""
    skipped: tuple[str, ...] = ()
    """Exports that were not measured, each with the reason."""

    @property
    def rows(self) -> list[tuple[str, str, str, str, str, str]]:
        """(task, metric, documents, side, score, change against base with its interval), as they are shown."""
        found = []
        for task in self.tasks:
            for side in task.scores:
                one = task.side(side)
                moved = task.change(side) if side != "base" else None
                interval = "" if moved is None or moved.low is None else f"{moved.low:+.3f} to {moved.high:+.3f}"
                shown = "" if moved is None else f"{moved.value:+.3f}, 95 % interval {interval}" if interval else ""
                found.append((task.task, task.metric, f"{one.rows}", side, f"{one.value:.3f}", shown))
        return found

    @property
    def limits(self) -> list[str]:
        """What the scores rest on, and what was not measured, as sentences."""
        template = "with the chat template" if self.template else "without a chat template"
        asked = f"the first {plural(self.limit, 'document')} of each task" if self.limit else "all documents of each task"
        return [
            f"lm-evaluation-harness {self.harness}, {template}, on {asked}; 95 % intervals paired by document.",
            *(f"Not measured: {reason}." for reason in self.skipped),
        ]

    def to_pandas(self) -> Any:
        """A row for each task and model, with the ends of the interval of its change, as a pandas DataFrame."""
        import pandas

        rows = []
        for task in self.tasks:
            for side in task.scores:
                moved = task.change(side) if side != "base" else None
                change = (moved.value, moved.low, moved.high) if moved else (None, None, None)
                rows.append((task.task, task.metric, task.side(side).rows, side, task.side(side).value, *change))
        columns = ["task", "metric", "documents", "model", "score", "change", "change_low", "change_high"]
        return pandas.DataFrame(rows, columns=columns)

    def _repr_html_(self) -> str:
        return self.to_pandas()._repr_html_()

    @property
    def sentences(self) -> list[str]:
        """What tuning did to each task, as sentences."""
        said = []
        for task in self.tasks:
            found = task.change("tuned")
            word = "rose" if found.above_zero else "fell" if found.below_zero else "shows no clear change"
            said.append(f"{task.task} {word} ({found.value:+.3f}, {plural(found.rows, 'document')})")
        return said


def results(sides: dict[str, dict[str, Any]], tasks: list[str]) -> tuple[TaskResult, ...]:
    """The results of tasks by side, documents in one order; a document that one side lacks is left out of all."""
    found = []
    for task in tasks:
        of = {side: values[task]["scores"] for side, values in sides.items() if task in values}
        common = sorted(set.intersection(*(set(scores) for scores in of.values())), key=int)
        metric = next(values[task]["metric"] for values in sides.values() if task in values)
        scores = {side: tuple(values[key] for key in common) for side, values in of.items()}
        found.append(TaskResult(task=task, metric=metric, scores=scores))
    return tuple(found)
