"""A figure: its name for people, which way is better, how it is written, and its formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from studio.evaluation.interval import Estimate


@dataclass(frozen=True)
class Metric:
    """A figure of the report. unit: `share` is written as a percentage, its change in percentage points."""

    name: str
    label: str
    better: Literal["higher", "lower", "neither"]
    unit: Literal["share", "number", "tokens"]
    formula: str

    def show(self, value: float) -> str:
        """The value as people read it: 96 %, 0.1623, 12.4."""
        if self.unit == "share":
            return f"{_round(value * 100)} %"
        if self.unit == "tokens":
            return f"{value:,.1f}"
        return _significant(value)

    def show_change(self, value: float) -> str:
        """The change with its sign: +94 points, -0.878."""
        if self.unit == "share":
            return f"{_signed(value * 100)} points"
        return f"{value:+,.1f}" if self.unit == "tokens" else _significant(value, "+")

    def show_interval(self, estimate: Estimate, *, change: bool = False) -> str:
        """The interval: `90 to 98`, or why there is none."""
        if estimate.low is None or estimate.high is None:
            return "no interval from one row"
        if self.unit == "share":
            spell = _signed if change else _round
            return f"{spell(estimate.low * 100)} to {spell(estimate.high * 100)}"
        if change:
            return f"{self.show_change(estimate.low)} to {self.show_change(estimate.high)}"
        return f"{self.show(estimate.low)} to {self.show(estimate.high)}"

    def gained(self, change: Estimate) -> bool:
        """The change is for the better, beyond its interval."""
        return change.above_zero if self.better == "higher" else self.better == "lower" and change.below_zero

    def lost(self, change: Estimate) -> bool:
        """The change is for the worse, beyond its interval."""
        return change.below_zero if self.better == "higher" else self.better == "lower" and change.above_zero


def _round(points: float) -> str:
    """Whole points, with a decimal only next to 0 and 100 where it matters."""
    near_edge = 0 < abs(points) < 1 or 99 < abs(points) < 100
    text = f"{points:.1f}" if near_edge else f"{points:.0f}"
    return "0" if text in ("-0", "0.0", "-0.0") else "100" if text == "100.0" else text


def _significant(value: float, sign: str = "") -> str:
    """Three decimals below 10, three digits below 1,000, whole numbers above, powers of ten for what is absurd."""
    size = abs(value)
    kind = ".3f" if size < 10 else ".1f" if size < 100 else ",.0f" if size < 1e6 else ".1e"
    return format(value, sign + kind)


def _signed(points: float) -> str:
    text = _round(points)
    return text if text.startswith("-") or text == "0" else f"+{text}"
