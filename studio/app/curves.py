"""Use case of curves: a run's metrics as a few hundred points, however many steps it logged, read on from where it was left."""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from studio.core.metrics import MetricsPoint
from studio.runs import pace
from studio.runs.pace import RECENT
from studio.runs.status import Status

POINTS = 1000
"""Points of a curve at most."""
KEEP = 12
"""Runs whose curves stay in memory."""
PREFERENCES = ("accuracy", "margin", "reward_chosen", "reward_rejected", "logp_chosen", "logp_rejected", "drift")
"""What preference methods report beside the loss; of held-out rows with `eval_` before it."""
KEYS = (
    *("loss", "eval_loss", "lr", "grad_norm", "tokens_per_second", "memory"),
    *(f"{part}{name}" for part in ("", "eval_") for name in PREFERENCES),
)


@dataclass
class Series:
    """One figure over the steps. After a resume a step may come twice: the later one counts."""

    steps: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, step: float, value: float) -> None:
        """Append a point."""
        while self.steps and self.steps[-1] >= step:
            self.steps.pop()
            self.values.pop()
        self.steps.append(step)
        self.values.append(value)

    def points(self, most: int = POINTS) -> list[tuple[float, float]]:
        """At most so many points: of each stretch of steps the least and the greatest value, so that no spike is lost."""
        count = len(self.steps)
        if count <= most:
            return list(zip(self.steps, self.values, strict=True))
        stretch = -(-count // (most // 2))
        found: list[tuple[float, float]] = []
        for begin in range(0, count, stretch):
            part = range(begin, min(begin + stretch, count))
            places = {min(part, key=self.values.__getitem__), max(part, key=self.values.__getitem__)}
            found += [(self.steps[place], self.values[place]) for place in sorted(places)]
        return found


@dataclass
class Curves:
    """All curves of a run, and how much of its metrics file they hold."""

    series: dict[str, Series] = field(default_factory=dict[str, Series])
    last: dict[str, float] = field(default_factory=dict[str, float])
    recent: list[MetricsPoint] = field(default_factory=list[MetricsPoint])
    """The last logged steps whole, enough to tell the pace."""
    offset: int = 0
    identity: int = 0


_kept: OrderedDict[Path, Curves] = OrderedDict()
_lock = threading.Lock()


def read(file: Path) -> Curves:
    """The curves of a metrics file, with what was appended since the last time. Empty while there is none."""
    with _lock:
        found = _kept.pop(file, None) or Curves()
        try:
            status = file.stat()
            if status.st_ino != found.identity or status.st_size < found.offset:
                found = Curves(identity=status.st_ino)
            if status.st_size > found.offset:
                with open(file, "rb") as lines:
                    lines.seek(found.offset)
                    _take(found, lines)
        except OSError:
            found = Curves()
        _kept[file] = found
        while len(_kept) > KEEP:
            _kept.popitem(last=False)
        return found


def _take(curves: Curves, lines: Iterable[bytes]) -> None:
    for line in lines:
        if not line.endswith(b"\n"):
            return
        curves.offset += len(line)
        try:
            point = MetricsPoint.parse(orjson.loads(line))
        except orjson.JSONDecodeError:
            continue
        if point is None:
            continue
        for key in KEYS:
            value = point.figures.get(key)
            if isinstance(value, (int, float)) and value == value and abs(value) != float("inf"):
                curves.series.setdefault(key, Series()).add(point.step, value)
        curves.last.update(point)
        if "loss" in point:
            curves.recent.append(point)
            if len(curves.recent) > 4 * RECENT:
                del curves.recent[: -2 * RECENT]


def seconds_left(status: Status, read: Curves) -> tuple[float, float] | None:
    """How long training will still take at least and at most, by the pace of this process: what came before a resume does
    not count. None for a run that is not training, or whose pace is not known yet."""
    if status.state != "training" or not status.total or status.process_started is None:
        return None
    return pace.seconds_left(list(read.recent), status.total, status.process_started)
