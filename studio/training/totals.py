"""What the losses of a batch are divided by: counted by what makes batches, used by every method."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Totals:
    """What losses over several rows are divided by."""

    rows: int
    trained: int
    """Trained tokens."""
    trained_wanted: int
    """Those of preferred answers; all where answers are not labelled."""
    wanted: int
    """Sequences whose answer is preferred; all where answers are not labelled."""
    computed: int = 0
    """Of sampled answers, the tokens of those that are computed: groups whose answers all score alike are left out."""
