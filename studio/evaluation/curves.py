"""Curves of a run as inline SVG: only the lines are stretched, so that text and strokes stay the same at any width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

Points = list[tuple[float, float]]

WIDTH, HEIGHT = 600.0, 190.0
MOST = 400
"""Points drawn of one line."""


@dataclass(frozen=True)
class Line:
    """One line of a chart. kind: `line` (with its smoothed course if it is long), `exact`, or `held` (dots at its points)."""

    label: str
    points: Points
    kind: str = "line"


def series(metrics: Sequence[dict[str, Any]], key: str) -> Points:
    """(step, value) of one logged key, without what is missing or not a number."""
    found = []
    for row in metrics:
        step, value = row.get("step"), row.get(key)
        if isinstance(step, int | float) and isinstance(value, int | float) and math.isfinite(value):
            found.append((float(step), float(value)))
    return found


def chart(title: str, lines: Sequence[Line], note: str = "") -> str:
    """A figure with its title, legend, axes and a description in words; empty if there is nothing to draw."""
    lines = [line for line in lines if line.points]
    if not lines:
        return ""
    every = [point for line in lines for point in line.points]
    left, right = min(x for x, _ in every), max(x for x, _ in every)
    ticks = nice_ticks(min(0.0, *(y for _, y in every)), max(y for _, y in every))
    low, high = ticks[0], ticks[-1]

    def place(point: tuple[float, float]) -> tuple[float, float]:
        across = (point[0] - left) / (right - left) * WIDTH if right > left else WIDTH / 2
        return across, HEIGHT - (point[1] - low) / (high - low) * HEIGHT

    drawn = "".join(f'<path class="grid" d="M0 {place((left, tick))[1]:.1f}H{WIDTH:.0f}"/>' for tick in ticks)
    drawn += "".join(_drawn(line, place) for line in lines)
    up = "".join(f'<span style="top:{100 - 100 * (tick - low) / (high - low):.1f}%">{_number(tick)}</span>' for tick in ticks)
    steps = sorted({left, round((left + right) / 2), right})
    along = "".join(
        f'<span style="left:{place((step, low))[0] / WIDTH:.1%}">{"step " if step == left else ""}{step:,.0f}</span>'
        for step in steps
    )
    legend = "".join(f'<span class="{line.kind}">{escape(line.label)}</span>' for line in lines) if len(lines) > 1 else ""
    words = "; ".join(_in_words(line) for line in lines)
    return (
        f'<figure class="card"><h3>{escape(title)}</h3><div class="legend">{legend}</div>'
        f'<div class="plot"><div class="up" aria-hidden="true">{up}</div>'
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(f"{title}: {words}")}">{drawn}</svg>'
        f'<div class="along" aria-hidden="true">{along}</div></div>'
        f"<figcaption>{escape(note)}</figcaption></figure>"
    )


def nice_ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers from at most `low` to at least `high`, about `wanted` steps of 1, 2, 2.5 or 5 times a power of ten."""
    if high <= low:
        high = low + (abs(low) or 1.0)
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [place * step for place in range(first, last + 1)]


def thinned(points: Points, most: int = MOST) -> Points:
    """At most about `most` points: the least and the greatest of each stretch, so that no spike is lost."""
    if len(points) <= most:
        return points
    size = math.ceil(len(points) / (most / 2))
    kept = []
    for start in range(0, len(points), size):
        some = points[start : start + size]
        kept += sorted({min(some, key=lambda point: point[1]), max(some, key=lambda point: point[1])})
    return kept


def smoothed(points: Points) -> Points:
    """A centred running mean over about a twentieth of the points."""
    reach = max(1, len(points) // 40)
    ys = [y for _, y in points]
    return [
        (x, sum(ys[max(0, at - reach) : at + reach + 1]) / len(ys[max(0, at - reach) : at + reach + 1]))
        for at, (x, _) in enumerate(points)
    ]


def _drawn(line: Line, place: Any) -> str:
    points = thinned(line.points)
    path = _path([place(point) for point in points])
    if line.kind == "held" or len(points) == 1:
        dots = "".join(f"M{x:.1f} {y:.1f}h.01" for x, y in map(place, points))  # a dot: a round cap on no line
        return f'<path class="{line.kind}" d="{path}"/><path class="{line.kind} dots" d="{dots}"/>'
    if line.kind == "exact" or len(points) < 40:
        return f'<path class="line" d="{path}"/>'
    course = _path([place(point) for point in smoothed(points)])
    return f'<path class="faint" d="{path}"/><path class="line" d="{course}"/>'


def _path(points: Points) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _in_words(line: Line) -> str:
    (first, began), (last, ended) = line.points[0], line.points[-1]
    return f"{line.label} {_number(began)} at step {first:.0f}, {_number(ended)} at step {last:.0f}"


def _number(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) < 1e-2 or abs(value) >= 1e5:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace(".0e", "e")
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
