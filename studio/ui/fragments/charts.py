"""Curves as inline SVG, drawn here: nothing is loaded, nothing flickers, and colours follow light and dark."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape

from studio.ui.fragments.parts import number

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 240, 52, 12, 12, 26
Points = Sequence[tuple[float, float]]


def chart(title: str, lines: Sequence[tuple[str, Points]], smooth: bool = False, log: bool = False) -> str:
    """A chart of named lines over the steps. smooth draws a moving average over each line; log has a logarithmic scale."""
    lines = [(label, [(x, y) for x, y in points if not log or y > 0]) for label, points in lines]
    lines = [(label, points) for label, points in lines if points]
    if not lines:
        return ""
    x0, x1 = min(points[0][0] for _, points in lines), max(points[-1][0] for _, points in lines)
    values = [y for _, points in lines for _, y in points]
    low, high = _padded(min(values), max(values), log)

    def across(x: float) -> float:
        return LEFT + (x - x0) / ((x1 - x0) or 1) * (WIDTH - LEFT - RIGHT)

    def down(y: float) -> float:
        share = (math.log(y / low) / math.log(high / low)) if log else (y - low) / (high - low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    grid = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down(y):.1f}" y2="{down(y):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{down(y) + 4:.1f}" text-anchor="end">{tick(y)}</text>'
        for y in _ticks(low, high, log)
    )
    steps = "".join(
        f'<text x="{across(x):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{x:,.0f}</text>'
        for x, anchor in ((x0, "start"), (x1, "end"))
        if x1 > x0 or anchor == "start"
    )
    drawn = ""
    for place, (_, points) in enumerate(lines):
        colour = f"var(--line-{place % 6 + 1})"
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in points)
        smoothed = smooth and len(points) > 20
        shade = " shade" if smoothed else ""
        if len(points) == 1:
            drawn += f'<circle cx="{across(points[0][0]):.1f}" cy="{down(points[0][1]):.1f}" r="3.5" style="fill:{colour}"/>'
            continue
        drawn += f'<polyline class="curve{shade}" points="{path}" style="stroke:{colour}"/>'
        if smoothed:
            path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in averaged(points))
            drawn += f'<polyline points="{path}" style="stroke:{colour}"/>'
    data = {
        "width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM, "x0": x0, "x1": x1,
        "lines": [{"label": label, "x": [x for x, _ in points], "y": [float(f"{y:.5g}") for _, y in points]} for label, points in lines],
    }  # fmt: skip
    says = f"{title}: " + "; ".join(
        f"{label} {number(float(points[-1][1]))} at step {points[-1][0]:,.0f}" for label, points in lines
    )
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(says)}" '
        f'data-chart="{escape(json.dumps(data, separators=(",", ":")))}">{grid}{steps}{drawn}<g class="hover"></g></svg>'
        f"{legend([label for label, _ in lines]) if len(lines) > 1 else ''}</figure>"
    )


def legend(labels: Sequence[str]) -> str:
    """Which colour is which line."""
    items = "".join(
        f'<li><i style="background:var(--line-{place % 6 + 1})"></i>{escape(label)}</li>' for place, label in enumerate(labels)
    )
    return f'<ul class="key">{items}</ul>'


def averaged(points: Points, weight: float = 0.9) -> list[tuple[float, float]]:
    """An exponential moving average, corrected for its beginning."""
    found, kept, scale = [], 0.0, 0.0
    for x, y in points:
        kept, scale = weight * kept + (1 - weight) * y, weight * scale + 1 - weight
        found.append((x, kept / scale))
    return found


def tick(value: float) -> str:
    """A value at an axis, short."""
    if value == 0:
        return "0"
    if abs(value) >= 10_000 or abs(value) < 0.001:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return f"{value:.4g}"


def _padded(low: float, high: float, log: bool) -> tuple[float, float]:
    if log:
        return (low / 1.3, high * 1.3)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return (max(0.0, low - room) if low >= 0 else low - room, high + room)


def _ticks(low: float, high: float, log: bool) -> list[float]:
    if log and high / low > 10:
        return [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 5)
    first = math.ceil(low / step)
    return [place * step for place in range(first, math.floor(high / step) + 1)]
