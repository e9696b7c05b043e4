"""Quality, latency and cost in one picture, and figures over the number of streams, as inline SVG without a script."""

from __future__ import annotations

import math

from markupsafe import Markup

from studio.benchmark import figures
from studio.benchmark.result import Item, Result
from studio.core.charts import Frame, Series, Tick, colour, figure, inner_ticks, line_chart, scale
from studio.core.html import Fragments
from studio.evaluation.metrics import METRICS

FRAME = Frame(440, 300, 52, 20, 16, 48)
DOT, LARGEST = 6.0, 20.0
"""Radius where the cost is not known, and of the dearest."""
_html = Fragments("studio.core", "chart.html")


def picture(result: Result) -> Markup:
    """Quality over the time of one answer, each item a disc whose area is its cost; empty where no quality is known."""
    metric = result.settings.metric
    shown = [(index, item) for index, item in enumerate(result.items) if item.single and metric in item.quality]
    if not shown:
        return Markup("")
    times = [item.single.latency_p50 for _, item in shown if item.single]
    left, right = min(times) / 1.5, max(times) * 1.5
    ends = [end for _, item in shown for end in _interval(item, metric)]
    low = max(0.0, math.floor((min(ends) - 0.04) * 10) / 10)
    high = min(1.0, math.ceil((max(ends) + 0.04) * 10) / 10)
    dearest = max((cost for _, item in shown if (cost := _cost(item))), default=0.0)
    across = scale(left, right, FRAME.left, FRAME.width - FRAME.right, log=True)
    up = scale(low, high, FRAME.height - FRAME.bottom - LARGEST, FRAME.top + LARGEST)
    discs = []
    for index, item in sorted(shown, key=lambda pair: -(_cost(pair[1]) or 0.0)):
        assert item.single
        bottom, top = _interval(item, metric)
        cost = _cost(item)
        discs.append(
            {
                "x": across(item.single.latency_p50),
                "y": up(item.quality[metric].value),
                "bottom": up(bottom),
                "top": up(top),
                "radius": max(3.0, LARGEST * math.sqrt(cost / dearest)) if cost and dearest else DOT,
                "colour": colour(index),
                "filled": cost is not None,
                "label": index + 1,
            }
        )
    label = METRICS[metric].label
    seconds = [factor * 10.0**power for power in range(-4, 5) for factor in (1, 2, 5)]
    body = _html(
        "discs",
        [Tick(up(tick), f"{tick:.0%}") for tick in inner_ticks(low, high)],
        [Tick(across(tick), f"{tick:g}") for tick in seconds if left <= tick <= right][:8],
        discs,
        FRAME,
        "seconds for one answer, alone (median)",
    )
    words = f"{label} over the time of one answer: " + "; ".join(_in_words(item, metric) for _, item in shown)
    key = [(f"{index + 1} · {item.name}", colour(index)) for index, item in shown]
    return figure(f"{label} × latency × cost", words, body, FRAME, key)


def over_streams(result: Result, title: str, unit: str, what: str) -> Markup:
    """One figure over the number of streams; what: `tokens` for throughput, `first` for the time to the first token."""
    series = []
    for index, item in enumerate(result.items):
        levels = sorted(item.levels, key=lambda level: level.concurrency)
        points = [
            (float(level.concurrency), level.tokens_per_second.median if what == "tokens" else level.first_p50)
            for level in levels
        ]
        if points:
            series.append(Series(f"{index + 1} · {item.name}", points, dots=True, colour=index))
    return line_chart(f"{title} ({unit})", series, x_label="concurrent streams", log_x=True, from_zero=True, frame=FRAME)


def _interval(item: Item, metric: str) -> tuple[float, float]:
    found = item.quality[metric]
    return (found.value if found.low is None else found.low, found.value if found.high is None else found.high)


def _cost(item: Item) -> float | None:
    return item.busiest.cost if item.busiest else None


def _in_words(item: Item, metric: str) -> str:
    assert item.single
    cost = _cost(item)
    price = f", {figures.money(cost)} per million tokens" if cost is not None else ", cost not known"
    return (
        f"{item.name} {METRICS[metric].show(item.quality[metric].value)} in {figures.seconds(item.single.latency_p50)}{price}"
    )
