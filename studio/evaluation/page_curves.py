"""The curves of the training on the page of the evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from studio.core.charts import Series, line_chart
from studio.core.text import count, size


def curves(metrics: Sequence[Mapping[str, float]]) -> list[Markup]:
    """Loss, log p of preference pairs and learning rate, as far as they were logged; metrics: the lines of metrics.jsonl."""
    loss, held_out, rate = (series(metrics, key) for key in ("loss", "eval_loss", "lr"))
    return [
        line_chart(
            "Loss", [Series("training", loss, smooth=True), Series("held-out", held_out, dots=True)], from_zero=True,
            note=_facts(metrics),
        ),
        line_chart(
            "log p of held-out answers",
            [
                Series("preferred", series(metrics, "eval_logp_chosen"), dots=True),
                Series("rejected", series(metrics, "eval_logp_rejected"), dots=True),
            ],
        ),
        line_chart("Learning rate", [Series("learning rate", rate)], from_zero=True),
    ]  # fmt: skip


def series(metrics: Sequence[Mapping[str, float]], key: str) -> list[tuple[float, float]]:
    """(step, value) of one logged key, without what is missing or not a number."""
    points = []
    for row in metrics:
        step, value = row.get("step"), row.get(key)
        if isinstance(step, int | float) and isinstance(value, int | float) and math.isfinite(value):
            points.append((float(step), float(value)))
    return points


def _facts(metrics: Sequence[Mapping[str, float]]) -> str:
    facts = []
    tokens, speed, memory = (series(metrics, key) for key in ("tokens", "tokens_per_second", "memory"))
    if tokens:
        facts.append(f"{count(tokens[-1][1])} tokens")
    if speed:
        facts.append(f"{count(sorted(value for _, value in speed)[len(speed) // 2])} tokens/s (median)")
    if memory:
        facts.append(f"{size(max(value for _, value in memory))} at the peak")
    return " · ".join(facts)
