"""How long a running training will still take: a range that narrows as steps are done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from statistics import mean, stdev

RECENT = 50
"""Steps whose pace counts: a machine that gets slower or faster is followed."""
FEWEST = 4
"""Steps after the first from which a pace is told; the first one compiles, allocates and fills caches."""


def seconds_left(lines: Iterable[Mapping[str, float]], total: float, since: float = 0.0) -> tuple[float, float] | None:
    """Seconds from the last logged step to step `total`, from and to; None while there are too few steps.

    lines are logged metrics (step and time), in order; those before `since`, a time, belong to an earlier process. What each
    step took, evaluations and checkpoints among them included, is taken as it was lately, its first step left out. The range
    is two standard errors of their mean, and the spread of the steps to come, to either side.
    """
    times: dict[float, float] = {}
    for line in lines:
        if line.get("time", 0.0) >= since and "loss" in line:
            times[line["step"]] = line["time"]
    done = sorted(times.items())[1:][-RECENT - 1 :]
    each = [(later - earlier) / (step - before) for (before, earlier), (step, later) in pairwise(done)]
    each = [seconds for seconds in each if seconds >= 0]  # the clock was set back in between
    if len(each) < FEWEST or not done:
        return None
    left = max(0.0, total - done[-1][0])
    spread = 2 * stdev(each) * (left / len(each) ** 0.5 + left**0.5)
    middle = left * mean(each)
    return max(0.0, middle - spread, left * min(each)), min(middle + spread, left * max(each))
