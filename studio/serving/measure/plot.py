"""Quality, latency and cost in one picture, and figures over the number of streams, as inline SVG without a script.

Colours are the variables `--line-1` to `--line-6` and those of text and lines of the page the picture stands in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from studio.evaluation.curves import nice_ticks
from studio.evaluation.metrics import METRICS
from studio.serving.measure import figures
from studio.serving.measure.result import Item, Result

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 440, 300, 52, 20, 16, 44
DOT, LARGEST = 6.0, 20.0
"""Radius where the cost is not known, and of the dearest."""
Points = Sequence[tuple[float, float]]
Place = Callable[[float], float]


def colour(place: int) -> str:
    """The colour of the item at that place."""
    return f"var(--line-{place % 6 + 1})"


def picture(result: Result) -> str:
    """Quality over the time of one answer, each item a disc whose area is its cost; empty where no quality is known."""
    metric = result.settings["metric"]
    shown = [(place, item) for place, item in enumerate(result.items) if item.single and metric in item.quality]
    if not shown:
        return ""
    times = [item.single.latency_p50 for _, item in shown if item.single]
    left, right = min(times) / 1.5, max(times) * 1.5
    ends = [end for _, item in shown for end in _reach(item, metric)]
    low = max(0.0, math.floor((min(ends) - 0.04) * 10) / 10)
    high = min(1.0, math.ceil((max(ends) + 0.04) * 10) / 10)
    dearest = max((cost for _, item in shown if (cost := _cost(item))), default=0.0)

    def across(seconds: float) -> float:
        return LEFT + math.log(seconds / left) / math.log(right / left) * (WIDTH - LEFT - RIGHT)

    def down(share: float) -> float:
        return HEIGHT - BOTTOM - LARGEST - (share - low) / (high - low) * (HEIGHT - TOP - BOTTOM - 2 * LARGEST)

    drawn = _shares(low, high, down) + _seconds(left, right, across)
    for place, item in sorted(shown, key=lambda pair: -(_cost(pair[1]) or 0.0)):
        assert item.single
        x, (bottom, top), y = across(item.single.latency_p50), _reach(item, metric), down(item.quality[metric].value)
        cost = _cost(item)
        radius = max(3.0, LARGEST * math.sqrt(cost / dearest)) if cost and dearest else DOT
        fill = f"fill:{colour(place)};fill-opacity:.55" if cost is not None else "fill:none"
        drawn += (
            f'<path class="whisker" style="stroke:{colour(place)}" d="M{x:.1f} {down(bottom):.1f}V{down(top):.1f}"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" style="{fill};stroke:{colour(place)};stroke-width:1.8"/>'
            f'<text class="mark" x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{place + 1}</text>'
        )
    label = METRICS[metric].label
    drawn += _axis("seconds for one answer, alone (median)")
    says = f"{label} over the time of one answer: " + "; ".join(_in_words(item, metric) for _, item in shown)
    return _figure(f"{label} × latency × cost", says, drawn, [(place, f"{place + 1} · {item.name}") for place, item in shown])


def over_streams(result: Result, title: str, unit: str, what: str) -> str:
    """One figure over the number of streams; what: `tokens` for throughput, `first` for the time to the first token."""
    lines: list[tuple[int, str, Points]] = []
    for place, item in enumerate(result.items):
        levels = sorted(item.levels, key=lambda level: level.concurrency)
        points = [
            (float(level.concurrency), level.tokens_per_second.median if what == "tokens" else level.first_p50)
            for level in levels
        ]
        if points:
            lines.append((place, item.name, points))
    if not lines:
        return ""
    streams = sorted({x for _, _, points in lines for x, _ in points})
    ticks = nice_ticks(0.0, max(y for _, _, points in lines for _, y in points))
    span = math.log2(streams[-1] / streams[0]) or 1.0

    def across(count: float) -> float:
        return LEFT + (math.log2(count / streams[0]) / span if streams[-1] > streams[0] else 0.5) * (WIDTH - LEFT - RIGHT)

    def down(value: float) -> float:
        return HEIGHT - BOTTOM - value / ticks[-1] * (HEIGHT - TOP - BOTTOM)

    drawn = "".join(_line(down(tick), f"{tick:,.4g}") for tick in ticks)
    drawn += "".join(
        f'<text x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:.0f}</text>' for x in streams
    )
    for place, _, points in lines:
        path = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in points)
        drawn += f'<polyline points="{path}" style="stroke:{colour(place)}"/>'
        dots = (f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="3.5" style="fill:{colour(place)}"/>' for x, y in points)
        drawn += "".join(dots)
    drawn += _axis("streams at once")
    spoken = "; ".join(f"{name} " + ", ".join(f"{y:.3g} at {x:.0f}" for x, y in points) for _, name, points in lines)
    return _figure(
        f"{title} ({unit})", f"{title}, {unit}: {spoken}", drawn, [(place, f"{place + 1} · {name}") for place, name, _ in lines]
    )


def _reach(item: Item, metric: str) -> tuple[float, float]:
    found = item.quality[metric]
    return (found.value if found.low is None else found.low, found.value if found.high is None else found.high)


def _cost(item: Item) -> float | None:
    return item.busiest.cost if item.busiest else None


def _in_words(item: Item, metric: str) -> str:
    assert item.single
    cost = _cost(item)
    told = f", {figures.money(cost)} per million tokens" if cost is not None else ", cost not known"
    return f"{item.name} {METRICS[metric].show(item.quality[metric].value)} in {figures.seconds(item.single.latency_p50)}{told}"


def _shares(low: float, high: float, down: Place) -> str:
    ticks = [tick for tick in nice_ticks(low, high) if low - 1e-9 <= tick <= high + 1e-9]
    return "".join(_line(down(tick), f"{tick:.0%}") for tick in ticks)


def _line(y: float, label: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _seconds(left: float, right: float, across: Place) -> str:
    every = [factor * 10.0**power for power in range(-4, 5) for factor in (1, 2, 5)]
    ticks = [tick for tick in every if left <= tick <= right]
    return "".join(
        f'<text x="{across(tick):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:g}</text>' for tick in ticks[:8]
    )


def _axis(words: str) -> str:
    return f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{words}</text>'


def _figure(title: str, says: str, drawn: str, key: Sequence[tuple[int, str]]) -> str:
    items = "".join(f'<li><i style="background:{colour(place)}"></i>{escape(name)}</li>' for place, name in key)
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(says)}">{drawn}</svg><ul class="key">{items}</ul></figure>'
    )
