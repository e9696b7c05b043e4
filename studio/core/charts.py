"""Charts as inline SVG, the same on pages, in reports and in notebooks: nothing is loaded, and colours follow the page.

Colours are the page's variables `--line-1` to `--line-6`, with values of their own where a page has none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from studio.core.html import Fragments

COLOURS = ("#4f46e5", "#d9730d", "#0f8a5f", "#c2255c", "#0b7ea4", "#7a5b00")
MAX_POINTS = 800
"""Points drawn of one line."""
Points = Sequence[tuple[float, float]]

_html = Fragments("studio.core", "chart.html")


@dataclass(frozen=True)
class Series:
    """A named line. `smooth` draws a moving average over it; `dots` marks its points; colour: its index among the colours."""

    label: str
    points: Points
    smooth: bool = False
    dots: bool = False
    colour: int | None = None


@dataclass(frozen=True)
class Frame:
    """The size of a chart and of its margins, in the units of its view box."""

    width: int = 560
    height: int = 240
    left: int = 58
    right: int = 14
    top: int = 12
    bottom: int = 30


@dataclass(frozen=True)
class Tick:
    """A value at an axis: where it stands, and its text."""

    at: float
    label: str
    anchor: str = "middle"


def colour(index: int) -> str:
    """The colour of the line of that index."""
    return f"var(--line-{index % len(COLOURS) + 1}, {COLOURS[index % len(COLOURS)]})"


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str = "step",
    log_x: bool = False,
    log_y: bool = False,
    from_zero: bool = False,
    note: str = "",
    frame: Frame = Frame(),
) -> Markup:
    """Lines over a common axis, with a description in words and their values for a pointer; empty if there are none."""
    usable = [(line, _usable(line.points, log_x, log_y)) for line in series]
    drawn = [(line, thinned(points)) for line, points in usable if points]
    if not drawn:
        return Markup("")
    xs = [x for _, points in drawn for x, _ in points]
    ys = [y for _, points in drawn for _, y in points]
    low, high = _bounds(min(ys), max(ys), log_y, from_zero)
    across = scale(min(xs), max(xs), frame.left, frame.width - frame.right, log_x)
    up = scale(low, high, frame.height - frame.bottom, frame.top, log_y)
    lines = [_line(line, points, index, across, up) for index, (line, points) in enumerate(drawn)]
    ticks = _log_ticks(low, high) if log_y and high / low > 10 else inner_ticks(low, high)
    x_values = sorted(set(xs)) if log_x else sorted({min(xs), max(xs)})
    anchors = ("start", "end") if len(x_values) > 1 and not log_x else ("middle", "middle")
    x_ticks = [
        Tick(
            across(x),
            number(x) if abs(x) < 10 else f"{x:,.0f}",
            anchors[0] if x == x_values[0] else anchors[1] if x == x_values[-1] else "middle",
        )
        for x in x_values
    ]
    data = {
        "width": frame.width, "height": frame.height, "left": frame.left, "right": frame.right, "top": frame.top,
        "bottom": frame.bottom, "x0": min(xs), "x1": max(xs), "log": log_x, "unit": x_label,
        "lines": [
            {"label": line.label, "x": [x for x, _ in points], "y": [float(f"{y:.5g}") for _, y in points]}
            for line, points in drawn
        ],
    }  # fmt: skip
    words = "; ".join(
        f"{line.label} {number(points[0][1])} at {x_label} {points[0][0]:,.0f}, {number(points[-1][1])} at {points[-1][0]:,.0f}"
        for line, points in drawn
    )
    body = _html(
        "lines", [Tick(up(y), number(y)) for y in ticks], x_ticks, lines, frame, x_label if log_x else f"{x_label} →"
    )  # fmt: skip
    labels = [(line.label, colour(index if line.colour is None else line.colour)) for index, (line, _) in enumerate(drawn)]
    return figure(title, words, body, frame, labels if len(labels) > 1 else (), note, json.dumps(data, separators=(",", ":")))


def figure(
    title: str,
    words: str,
    body: Markup,
    frame: Frame,
    labels: Sequence[tuple[str, str]] = (),
    note: str = "",
    data: str = "",
) -> Markup:
    """A drawing in its figure. words: what it shows, for those who do not see it; labels: names and colours of the key."""
    return _html("figure", title, f"{title}: {words}", body, frame, labels, note, data)


def scale(low: float, high: float, begin: float, end: float, log: bool = False) -> Callable[[float], float]:
    """From values between `low` and `high` to positions between `begin` and `end`; one value alone stands in the middle."""

    def position(value: float) -> float:
        if high <= low:
            return (begin + end) / 2
        share = math.log(value / low) / math.log(high / low) if log else (value - low) / (high - low)
        return begin + share * (end - begin)

    return position


def nice_ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers from at most `low` to at least `high`, about `wanted` steps of 1, 2, 2.5 or 5 times a power of ten."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def inner_ticks(low: float, high: float) -> list[float]:
    """Round numbers between `low` and `high`."""
    return [tick for tick in nice_ticks(low, high) if low - 1e-9 <= tick <= high + (high - low) * 1e-9]


def thinned(points: Points, limit: int = MAX_POINTS) -> Points:
    """At most about `limit` points: the least and the greatest of each stretch, so that no spike is lost."""
    if len(points) <= limit:
        return points
    size = math.ceil(len(points) / (limit / 2))
    chosen: list[tuple[float, float]] = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        chosen += sorted({min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])})
    return chosen


def averaged(points: Points, weight: float = 0.9) -> list[tuple[float, float]]:
    """An exponential moving average, corrected for its beginning."""
    averages, total, weights = list[tuple[float, float]](), 0.0, 0.0
    for x, y in points:
        total, weights = weight * total + (1 - weight) * y, weight * weights + 1 - weight
        averages.append((x, total / weights))
    return averages


def number(value: float) -> str:
    """A value at an axis, short."""
    if value == 0:
        return "0"
    if abs(value) >= 100_000 or abs(value) < 0.001:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


@dataclass(frozen=True)
class _Drawn:
    """A line as the template draws it: points as `x,y x,y`, a dot for each point that is marked."""

    colour: str
    path: str
    average: str
    dots: list[tuple[str, str]]


def _line(line: Series, points: Points, index: int, across: Callable[[float], float], up: Callable[[float], float]) -> _Drawn:
    def path(some: Points) -> str:
        return " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in some)

    average = path(averaged(points)) if line.smooth and len(points) > 20 else ""
    dots = [(f"{across(x):.1f}", f"{up(y):.1f}") for x, y in points] if line.dots or len(points) == 1 else []
    return _Drawn(colour(index if line.colour is None else line.colour), path(points) if len(points) > 1 else "", average, dots)


def _usable(points: Points, log_x: bool, log_y: bool) -> Points:
    return [
        (x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and (not log_x or x > 0) and (not log_y or y > 0)
    ]


def _bounds(low: float, high: float, log: bool, from_zero: bool) -> tuple[float, float]:
    if log:
        return low / 1.3, high * 1.3
    if from_zero:
        ticks = nice_ticks(min(0.0, low), high)
        return ticks[0], ticks[-1]
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return (max(0.0, low - margin) if low >= 0 else low - margin, high + margin)


def _log_ticks(low: float, high: float) -> list[float]:
    return [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
