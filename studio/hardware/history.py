"""What earlier runs on a machine say about the next one: how much its overheads really take, and how fast it really is.

The formulas know what a run holds; what Python, the driver and the allocator take besides differs from machine to machine,
and so does the share of its peak a card reaches. Both are learned from runs that were predicted and then measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from studio.hardware.peak import Item

ENOUGH = 3
"""Runs from which anything is corrected: fewer may all be odd ones."""
LAST = 10
"""The newest runs that are looked at: a machine changes, and so does the studio."""
BOUNDS = (0.5, 2.0)
"""The least and the most an overhead is corrected by: beyond that something else is wrong."""
OVERHEADS = ("fragmentation", "CUDA context", "process")
"""The items of an estimate that are not derived from the model."""
UNSEEN = ("CUDA context", "evaluation", "loading", "vLLM")
"""The items that a training peak does not show: torch counts neither the context nor another process, and the others come
before and after."""
ALIKE = 4.0
"""How many times larger or smaller a model may be to say something about another one's pace."""
MARGIN = 0.1
"""By how much a range of paces reaches beyond the slowest and the fastest run there was."""


@dataclass(frozen=True)
class RunMeasurement:
    """One run that was predicted and then measured. Memory in bytes, as it was predicted without any correction."""

    machine: str
    """The card, or the CPU."""
    device: str
    explained: int
    """Predicted, but for the overheads that the measurement sees."""
    overhead: int
    """Those overheads, as predicted. On a card the CUDA context is not one: torch does not count it."""
    peak: int
    """What it really took at most."""
    expected: float
    """Tokens/s at the upper end of the range that was predicted; 0 if there was none."""
    pace: float
    """Tokens/s it really had, padding counted; 0 if it was too short to tell."""
    parameters: int
    dtype: str
    packed: bool
    generated: float = 0.0
    """Tokens/s of the answers that were written in training; 0 where there were none."""
    vllm: bool = False
    """Whether vLLM wrote them."""


@dataclass(frozen=True)
class Correction:
    """What the overheads are multiplied by, and from how many runs that is known."""

    factor: float = 1.0
    runs: int = 0

    def explained(self, total: int, overhead: int) -> str:
        """What it does to a whole estimate whose overheads are `overhead` bytes of `total`; empty if nothing."""
        if not self.runs:
            return ""
        change = overhead * (1 - 1 / self.factor) / max(1, total - overhead * (1 - 1 / self.factor))
        return f"corrected by {self.runs} runs on this machine: {change:+.0%}"


UNCORRECTED = Correction()
"""Too few runs to say anything."""


@dataclass(frozen=True)
class Pace:
    """The share of the expected tokens/s that like runs on this machine had, from `low` to `high`."""

    low: float
    high: float
    runs: int


def seen(items: Iterable[Item]) -> int:
    """Bytes of those items of an estimate that the measured peak of a training shows."""
    return sum(item.bytes for item in items if item.name not in UNSEEN)


def overheads(runs: Iterable[RunMeasurement], machine: str, device: str) -> Correction:
    """How much the overheads of the last runs on this machine really took: the median of measured over predicted.

    What a run took beyond what the formulas explain is put down to its overheads. Runs on other machines do not count;
    with fewer than `ENOUGH` nothing is corrected.
    """
    ratios = [
        (run.peak - run.explained) / run.overhead
        for run in runs
        if run.machine == machine and run.device == device and run.overhead > 0 and run.peak > 0
    ][:LAST]
    if len(ratios) < ENOUGH:
        return UNCORRECTED
    least = 1.0 if device == "cuda" else BOUNDS[0]  # there kernels that the plan does not count may have made it less
    return Correction(min(BOUNDS[1], max(least, median(ratios))), len(ratios))


def pace(runs: Iterable[RunMeasurement], machine: str, parameters: int, dtype: str, packed: bool) -> Pace | None:
    """How fast like runs were: same machine, number format and layout, a model of about the size. None with too few of them."""
    shares: Sequence[float] = [
        run.pace / run.expected
        for run in runs
        if run.machine == machine
        and (run.dtype, run.packed) == (dtype, packed)
        and run.expected > 0
        and run.pace > 0
        and 1 / ALIKE <= run.parameters / max(1, parameters) <= ALIKE
    ][:LAST]
    if len(shares) < ENOUGH:
        return None
    return Pace((1 - MARGIN) * min(shares), (1 + MARGIN) * max(shares), len(shares))
