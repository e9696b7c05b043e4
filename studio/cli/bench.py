"""`studio bench`: latency, throughput, memory, energy, cost and quality, side by side."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studio.cli import show
from studio.cli.options import Home, Json, both_prices
from studio.core.errors import SpecError

if TYPE_CHECKING:
    from studio.app.benchmark_results import Progress
    from studio.benchmark.result import Result


def bench(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN_OR_ARTIFACT_OR_URL...",
            help="Runs, models, exports (a folder, a .gguf file, RUN:EXPORT), APIs (URL#MODEL).",
            show_default=False,
        ),
    ] = None,
    url: Annotated[str, typer.Option(help="Base URL of an OpenAI-compatible API, up to /v1.", show_default=False)] = "",
    model: Annotated[
        list[str] | None, typer.Option("--model", help="A model of that API; repeatable.", show_default=False)
    ] = None,
    key_env: Annotated[
        str,
        typer.Option(
            "--key-env", help="Environment variable or keyring entry with its key [default: by host].", show_default=False
        ),
    ] = "",
    concurrency: Annotated[
        str,
        typer.Option(
            help="Concurrency levels, e.g. 1,4,16 [default: doubled until throughput stops rising].", show_default=False
        ),
    ] = "",
    prompts: Annotated[
        str,
        typer.Option(help="A file of questions, or a run: its held-out rows [default: the first run's].", show_default=False),
    ] = "",
    rows: Annotated[int, typer.Option(min=1, help="Questions asked.")] = 30,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds at each concurrency level.")] = 3,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens",
            min=1,
            help="Maximum answer length in tokens [default: the evaluation's, else 64].",
            show_default=False,
        ),
    ] = None,
    price_per_hour: Annotated[
        float | None,
        typer.Option("--price-per-hour", min=0, help="Rental price of your hardware per hour.", show_default=False),
    ] = None,
    hardware_price: Annotated[
        float | None,
        typer.Option(
            "--hardware-price",
            min=0,
            help="Purchase price of your hardware, spread over 3 years of 8 hours a day.",
            show_default=False,
        ),
    ] = None,
    watts: Annotated[
        float | None,
        typer.Option(
            min=0, help="Power of your hardware under load [default: the GPUs', measured by NVML].", show_default=False
        ),
    ] = None,
    electricity: Annotated[float, typer.Option(min=0, help="Price of a kWh.")] = 0.30,
    price_in: Annotated[
        float | None, typer.Option("--price-in", min=0, help="The API's price per million input tokens.", show_default=False)
    ] = None,
    price_out: Annotated[
        float | None, typer.Option("--price-out", min=0, help="The API's price per million output tokens.", show_default=False)
    ] = None,
    home: Home = None,
    json: Json = False,
) -> int:
    """Measure runs, exports and APIs on the same questions: speed, memory, cost and quality."""
    from studio.app import benchmark_results, benchmarks
    from studio.app.benchmarks import Hardware, Tariff
    from studio.core.files import studio_home

    if bool(url) != bool(model):
        raise SpecError(
            "--url and --model must be used together", hint="For example --url https://… --model NAME.", where="--url"
        )
    price = both_prices(price_in, price_out)
    root = studio_home(home)
    request = benchmarks.BenchmarkRequest(
        systems=tuple(what or ()),
        apis=tuple(benchmarks.client.api(url, name, key_env) for name in model or ()),
        levels=_levels(concurrency),
        rows=rows,
        repeats=repeats,
        max_tokens=max_tokens,
        questions=prompts,
        hardware=Hardware(price_per_hour, hardware_price, watts, electricity),
        tariff=Tariff(*price, "as given") if price else None,
    )
    with _progress() as tell:
        found = benchmarks.measure(request, root, tell, lambda line: print(line, file=sys.stderr))
    if found.state == "done" and not any(item.levels for item in found.items):
        _show_errors(found)
        return 1
    if json:
        show.as_json(found.as_json())
    else:
        _show(found, benchmark_results.page_file(found, root))
    if found.state == "interrupted":
        return 130
    return 0 if all(item.error is None for item in found.items) else 1


def _levels(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(word) for word in text.split(",")) if text else ()
    except ValueError:
        found = (0,)
    if any(not 1 <= level <= 1024 for level in found):
        raise SpecError(
            f"`{text}` is not a list of concurrency levels", hint="For example --concurrency 1,4,16.", where="--concurrency"
        )
    return tuple(sorted(set(found)))


def _show(result: Result, page: Path) -> None:
    from studio.app.benchmark_results import figures

    # a terminal is narrow: one column per item, one row per figure
    columns = list(zip(*figures.rows(result), strict=True))
    if columns:
        named = zip(figures.HEADER[1:], columns[1:], strict=True)
        show.table(("", *columns[0]), [(name, *values) for name, values in named])
        show.table(figures.LEVELS, figures.level_rows(result), right=figures.LEVELS_RIGHT)
    show.say(figures.how(result), "dim")
    show.say(figures.READING, "dim")
    for item in result.items:
        for note in [*item.notes, *([f"cost from {item.cost_how}"] if item.cost_how else [])]:
            show.say(f"{item.name}: {note}", "dim")
    _show_errors(result)
    show.say(f"page: {page}")


def _show_errors(result: Result) -> None:
    """What could not be measured, in two lines each, on stderr."""
    for item in result.items:
        if item.error:
            problem = item.error
            print(problem if problem.where == item.name else f"{item.name}: {problem}", file=sys.stderr)
            print(f"→ {problem.hint}", file=sys.stderr)


@contextmanager
def _progress():
    """How far it is, on stderr: a bar in a terminal, else a line for each thing and level."""
    from rich import progress as rich_progress
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        before: list[str] = []

        def line(now: Progress) -> None:
            words = f"{now.name}: {now.words}"
            if words not in before:
                before[:] = [words]
                print(words, file=sys.stderr)

        yield line
        return
    columns = (rich_progress.TextColumn("{task.description}"), rich_progress.BarColumn(), rich_progress.TaskProgressColumn())
    with rich_progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda now: bar.update(task, description=f"{now.name}: {now.words}", completed=now.done, total=now.total or None)
