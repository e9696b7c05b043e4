"""Metrics point: one logged step of a run, as a line of `metrics.jsonl`. The class that writes a line reads it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from studio.core.files import append_json, read_json_lines
from studio.core.plain import is_object


@dataclass(frozen=True, repr=False)
class MetricsPoint(Mapping[str, float]):
    """The figures of one step by name, its `step` and `time` among them: loss, lr, eval_loss, tokens_per_second and more."""

    step: int
    time: float
    """When it was logged, in seconds since 1970; 0 where the line does not say."""
    figures: Mapping[str, float]

    @classmethod
    def now(cls, step: int, figures: Mapping[str, float]) -> Self:
        """A point of the present moment."""
        return cls(step, round(time.time(), 3), figures)

    @classmethod
    def parse(cls, values: object) -> Self | None:
        """The point that `as_json` gave; None for what is none, such as a line that was torn."""
        if not is_object(values) or not isinstance(values.get("step"), int | float):
            return None
        logged = values.get("time")
        figures = {
            name: value
            for name, value in values.items()
            if name not in ("step", "time", "version") and isinstance(value, int | float)
        }
        return cls(values["step"], logged if isinstance(logged, int | float) else 0.0, figures)

    @classmethod
    def parse_line(cls, line: bytes | str) -> Self | None:
        """The point on a line; None for a line that holds none."""
        try:
            return cls.parse(json.loads(line))
        except ValueError:
            return None

    @classmethod
    def read(cls, file: Path) -> Iterator[Self]:
        """The points of a file in the order they were logged; lines that hold none are left out."""
        return _present(map(cls.parse, read_json_lines(file)))

    def append(self, file: Path) -> None:
        """Append the point to a file as one line, in a single write."""
        append_json(file, self.as_json())

    def as_json(self) -> dict[str, float]:
        """The line as JSON values."""
        return {"step": self.step, **self.figures, "time": self.time}

    def __getitem__(self, name: str) -> float:
        return self.step if name == "step" else self.time if name == "time" else self.figures[name]

    def __iter__(self) -> Iterator[str]:
        yield from ("step", *self.figures, "time")

    def __len__(self) -> int:
        return len(self.figures) + 2

    def __repr__(self) -> str:
        return f"<step {self.step}: {', '.join(f'{name} {value:.4g}' for name, value in self.figures.items())}>"


def _present(points: Iterable[MetricsPoint | None]) -> Iterator[Any]:
    return (point for point in points if point is not None)
