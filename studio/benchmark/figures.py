"""A result as people read it: rows of text for a terminal and a page."""

from __future__ import annotations

from studio.benchmark.result import Item, Level, Result, Spread
from studio.core.text import count, plural, size
from studio.evaluation.metrics import METRICS

HEADER = (
    "What", "Engine", "Quality", "First token", "Answer", "Tokens/s, one stream", "Tokens/s, most", "Answers/s, most", "Memory",
    "J/token", "Cost per M tokens",
)  # fmt: skip
LEVELS = ("What", "Streams", "Answers", "Tokens/s", "Answers/s", "First token", "p95", "Answer", "p95", "Failed")
RIGHT = (3, 4, 5, 6, 7, 8, 9, 10)
LEVELS_RIGHT = (1, 2, 3, 4, 5, 6, 7, 8, 9)
READING = (
    "First token and answer: median with one stream, from sending to the first and the last token. Most: at the number of "
    "streams with the highest throughput. Memory: peak of the server's processes, files mapped into memory included. Cost: per "
    "million tokens written, with the prompts they took, at the highest throughput, the machine busy all the time."
)


def rows(result: Result) -> list[tuple[str, ...]]:
    """One row per item, by HEADER."""
    return [_row(item, result.settings.metric) for item in result.items]


def level_rows(result: Result) -> list[tuple[str, ...]]:
    """One row per level of each item, by LEVELS."""
    return [
        (
            item.name, str(level.concurrency), count(level.requests), spread(level.tokens_per_second),
            spread(level.requests_per_second), seconds(level.first_p50), seconds(level.first_p95), seconds(level.latency_p50),
            seconds(level.latency_p95), count(level.failed),
        )
        for item in result.items
        for level in sorted(item.levels, key=lambda level: level.concurrency)
    ]  # fmt: skip


def how(result: Result) -> str:
    """How it was measured, in a sentence or two."""
    asked = result.settings
    levels = ", ".join(map(str, asked.levels)) or "1, 2, 4, … until throughput rose by less than a tenth"
    left_out = f" ({asked.left_out})" if asked.left_out else ""
    return (
        f"{asked.rows} questions: {asked.source}{left_out}; answers of at most {asked.max_tokens} tokens, temperature 0; "
        f"{plural(asked.repeats, 'round')} a level; streams at once: {levels}; {asked.warm_up} answers before, to warm up. "
        f"On {result.machine.name}, {result.machine.cores} cores."
    )


def quality(item: Item, metric: str) -> str:
    """The answers' quality here with its interval; what the evidence said, where it did."""
    found, before = item.quality.get(metric), item.evidence.get(metric)
    told = []
    if found is not None:
        told.append(f"{METRICS[metric].label} {METRICS[metric].show(found.value)} ({METRICS[metric].show_interval(found)})")
    if before is not None:
        told.append(f"evidence {METRICS[metric].show(before.value)}")
    return "; ".join(told) or "no reference answers"


def seconds(value: float) -> str:
    """A short time: 12 ms, 0.84 s, 12.3 s."""
    return f"{value * 1000:.0f} ms" if value < 0.3 else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def speed(value: float) -> str:
    """A rate: 0.84, 12.3, 1,234."""
    return count(value) if value >= 100 else f"{value:.3g}"


def spread(spread: Spread) -> str:
    """The median, and the least and greatest where they differ: 41 (38 to 44)."""
    ends = [speed(spread.low), speed(spread.high)]
    return speed(spread.median) if ends[0] == ends[1] else f"{speed(spread.median)} ({ends[0]} to {ends[1]})"


def money(value: float | None) -> str:
    """A cost, in whatever currency the prices are."""
    return "not known" if value is None else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _row(item: Item, metric: str) -> tuple[str, ...]:
    one, most = item.single, item.busiest
    if one is None or most is None:
        why = item.error.message if item.error else "not measured"
        return (item.name, item.engine or "–", why, *["–"] * (len(HEADER) - 3))
    return (
        item.name,
        item.engine,
        quality(item, metric),
        seconds(one.first_p50),
        seconds(one.latency_p50),
        _or(one.stream_tokens_per_second),
        f"{speed(most.tokens_per_second.median)} at {most.concurrency}",
        speed(most.requests_per_second.median),
        _memory(item),
        _energy(most),
        money(most.cost),
    )


def _or(value: float | None) -> str:
    return "–" if value is None else speed(value)


def _memory(item: Item) -> str:
    if item.kind == "api":
        return "–"
    return " + ".join(
        [*([size(item.memory)] if item.memory else []), *([f"{size(item.gpu_memory)} GPU"] if item.gpu_memory else [])]
    )


def _energy(level: Level) -> str:
    return "not measured" if level.joules_per_token is None else f"{level.joules_per_token:.3g}"
