"""`studio make`: rows written by a teacher model from documents, questions, tools and labels, under a ceiling on cost."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studio.cli import show
from studio.cli.options import Home, Json
from studio.cli.progress import Progress
from studio.core.text import count, dollars, duration, plural, shorten

if TYPE_CHECKING:
    from studio.app.making import JobStatus, MakingJob, MakingPlan, MakingReport

app = typer.Typer(help="Have a teacher model write rows, under a ceiling on cost.", no_args_is_help=True)
Job = Annotated[str, typer.Argument(metavar="JOB", help="Job id, id prefix, or `last`.")]
Ceiling = Annotated[
    float | None,
    typer.Option(
        "--ceiling",
        help="Maximum total cost of the job in US dollars. Required unless every model is on this machine.",
        show_default=False,
    ),
]


@app.command()
def plan(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe file (YAML), or the name of a shipped recipe.")],
    samples: Annotated[int, typer.Option(min=0, max=20, help="Real answers to request; 0 requests none.")] = 3,
    ceiling: Annotated[float, typer.Option("--ceiling", help="Maximum cost of the samples in US dollars.")] = 0.25,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show a few real samples and estimate requests, tokens and cost. `run` reuses the samples without paying again."""
    from studio.app import making

    job = making.plan_rows(recipe, ceiling=ceiling, samples=samples, home=home)
    if json:
        show.as_json(making.as_dict(job))
        return
    assert job.plan
    _show_plan(job.plan)
    paid = job.plan.samples_cost if job.plan.answered else 0.0  # perhaps by this job, whose ceiling counts it
    show.say(f"→ studio make run {job.id} --ceiling {max(0.01, paid + 1.2 * job.plan.cost_high):.2f}")


@app.command()
def run(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE|JOB", help="Recipe file (YAML), name of a shipped recipe, or a planned job.")
    ],
    ceiling: Ceiling = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Make the rows and add them to the library. Ctrl-C pauses; answers already paid for are reused."""
    from studio.app import making

    is_job = recipe == "last" or any(job.id == recipe for job in making.list_jobs(home))
    _work(making.find(recipe, home) if is_job else recipe, ceiling, home, json)


@app.command()
def resume(job: Job = "last", ceiling: Ceiling = None, home: Home = None, json: Json = False) -> None:
    """Resume a job that was paused or interrupted, or that reached its ceiling."""
    from studio.app import making

    _work(making.find(job, home), ceiling, home, json)


@app.command()
def report(
    job: Job = "last",
    dropped: Annotated[int, typer.Option(min=0, help="Dropped rows to show per filter.")] = 2,
    home: Home = None,
    json: Json = False,
) -> None:
    """Show a job's progress, its requests and rows, the cost per row, rows on both sides of each threshold, and dropped rows
    with their reasons."""
    from studio.app import making

    found = making.find(job, home)
    if json:
        show.as_json({**making.as_dict(found), "dropped": [row.as_line() for row in found.dropped]})
        return
    _show_status(found)
    if found.report:
        _show_report(found.report)
        _show_thresholds(found.report)
        for name, rows in making.examples(found.dropped, dropped).items():
            show.heading(f"Dropped: {name}")
            for row in rows:
                about = row.question or row.source
                show.say(f"  {row.reason}" + (f" ({shorten(about, 100)})" if about else ""))
    elif found.plan:
        _show_plan(found.plan)


@app.command("list")
def list_(home: Home = None, json: Json = False) -> None:
    """List the jobs, newest first."""
    from studio.app import making

    found = making.list_readable(home)
    show.damages(home, "making")
    if json:
        show.as_json([making.as_dict(job) for job in found])
        return
    rows = []
    for job in found:
        status, done = job.status, job.report
        rows.append((job.id, status.state, done.rows if done else None, f"{status.spent:.2f}", status.dataset))
    show.table(("job", "state", "rows", "USD", "dataset"), rows, right=(2, 3))
    if not found:
        show.say("There are no jobs yet. Plan one: studio make plan RECIPE.yaml")


@app.command()
def dataset(
    job: Job = "last",
    name: Annotated[str, typer.Option("--name", help="Name of the dataset [default: the recipe's name].")] = "",
    home: Home = None,
    json: Json = False,
) -> None:
    """Add the rows that a job has made so far to the library."""
    from studio.app import making

    found = making.find(job, home)
    status = making.to_dataset(found, name)
    if json:
        show.as_json(status.as_json())
        return
    _show_datasets(status)


@app.command()
def example(home: Home = None, json: Json = False) -> None:
    """Run the shipped example: rows from a fictional company's handbook, by a local teacher without key or network."""
    from studio.app import making

    with _progress(json) as show_status:
        job = making.example(home, show_status)
    _ended(job, json)


@app.command()
def schema() -> None:
    """Print the JSON schema of a recipe, for editors."""
    from studio.app import making

    show.as_json(making.schema())


def _work(what: str | MakingJob, ceiling: float | None, home: Path | None, json: bool) -> None:
    from studio.app import making

    with _progress(json) as show_status, _stopping() as stop:
        job = making.make_rows(what, ceiling=ceiling, home=home, report=show_status, stop=lambda: bool(stop))
    _ended(job, json)


def _ended(job: MakingJob, json: bool) -> None:
    from studio.app import making

    status = job.status
    if json:
        show.as_json(making.as_dict(job))
    else:
        if job.report:
            _show_report(job.report)
        _show_datasets(status)
        if status.state == "paused":
            show.say(f"Paused. → studio make resume {job.id}", "yellow")
        elif status.error:
            print(status.error, file=sys.stderr)
            print(f"→ studio make resume {job.id} --ceiling {2 * (status.ceiling or 1):g}", file=sys.stderr)
    made = job.report
    if status.state == "done" and made and not made.rows + made.held_out + made.pairs:
        print("no row was made: every answer was dropped", file=sys.stderr)
        print(f"→ studio make report {job.id} lists each with its reason", file=sys.stderr)
        raise typer.Exit(1)
    raise typer.Exit({"done": 0, "paused": 130}.get(status.state, 1))


@contextmanager
def _progress(json: bool) -> Iterator[Callable[[JobStatus], None]]:
    with Progress() as bar:

        def show_status(status: JobStatus) -> None:
            from studio.app import making

            left = making.seconds_left(status, time.time())
            money = f", {dollars(status.spent)} of {dollars(status.ceiling)}" if status.ceiling else ""
            of = f": {count(status.done)} of {count(status.total)} requests" if status.total else ""
            what = f"{status.what}{of}{money}"
            rest = f"; {status.waiting}" if status.waiting else f", {duration(left)} left" if left else ""
            bar.show(status.done, status.total or 1, what + rest)

        yield show_status


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """The signals that asked to stop: the first one pauses, a second Ctrl-C ends at once."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.append(number)
        print("pausing: waiting for the requests in flight", file=sys.stderr, flush=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show_plan(plan: MakingPlan) -> None:
    show.heading("Plan")
    rows = [
        (
            item.recipe, count(item.calls), count(item.answered), count(item.prompt_tokens),
            f"{count(item.completion_low)} to {count(item.completion_high)}", count(item.rows),
        )
        for item in plan.recipes
    ]  # fmt: skip
    show.table(("recipe", "requests", "cached", "tokens in", "tokens out", "rows, unfiltered"), rows, right=(1, 2, 3, 4, 5))
    rest = " for the rest" if plan.answered else ""
    show.say(f"{plan.price}: {dollars(plan.cost_low)} to {dollars(plan.cost_high)}{rest}", "bold")
    if plan.answered:
        show.say(plan.answered_sentence)
    if plan.documents:
        kept = len(plan.documents) - len(plan.held_out_documents)
        show.say(
            f"{plural(kept, 'document')} ({plural(plan.passages, 'passage')}) for training rows; held out: "
            f"{', '.join(plan.held_out_documents) or 'none'}"
        )
    for sample in plan.samples:
        show.heading(f"Sample: {sample.recipe} of {shorten(sample.source, 80)}")
        for row in sample.rows:
            show.say(f"  {row.question}")
            show.say(f"    {row.answer}")
            if row.quote:
                show.say(f"    quote: {row.quote}", "dim")
        if sample.problem:
            show.say(f"  dropped: {sample.problem}", "yellow")
    for caution in plan.cautions:
        show.say(f"! {caution}", "yellow")


def _show_status(job: MakingJob) -> None:
    status = job.status
    spent = f"{dollars(status.spent)} of {dollars(status.ceiling)}" if status.ceiling else dollars(status.spent)
    show.say(f"{job.id}: {status.state}, {count(status.done)} of {count(status.total)} requests, {spent}", "bold")
    if status.error:
        show.say(f"! {status.error}", "yellow")
        if status.error.hint:
            show.say(f"→ {status.error.hint}")
    _show_datasets(status)


def _show_report(report: MakingReport) -> None:
    show.heading("From requests to rows")
    rows = [
        (item.recipe, item.calls, item.cached, item.made, item.kept - item.held_out, item.held_out, f"{item.cost:.4f}")
        for item in report.recipes
    ]
    columns = ("recipe", "requests", "cached", "rows", "kept", "held out", "USD")
    show.table(columns, rows, right=(1, 2, 3, 4, 5, 6))
    show.table(
        ("filter", "rows in", "dropped", "threshold"),
        [(item.name, item.entered, item.dropped, item.threshold) for item in report.filters if item.dropped],
        right=(1, 2, 3),
    )
    per_row = f", {dollars(report.cost_per_row)} per row" if report.cost_per_row else ""
    pairs = f", {plural(report.pairs, 'preference pair')}" if report.pairs else ""
    show.say(
        f"{plural(report.rows, 'row')}, {plural(report.held_out, 'held-out row')}{pairs}, including "
        f"{plural(report.refusals, 'refusal')}; {report.dropped:,} dropped; cost {dollars(report.spent)}{per_row}",
        "bold",
    )
    show.say(report.summary.sentence)
    for caution in report.cautions:
        show.say(f"! {caution}", "yellow")


def _show_thresholds(report: MakingReport) -> None:
    """The rows nearest to each filter's threshold, by which a person sees whether it is right."""
    for item in report.filters:
        if not (item.below or item.above):
            continue
        threshold = f" ({item.threshold:g})" if item.threshold is not None else ""
        show.heading(f"Around the threshold of {item.name}{threshold}")
        for side, examples in (("just dropped", item.below), ("just kept", item.above)):
            for row in examples:
                answer = f" | {shorten(row.answer, 80)}" if row.answer else ""
                show.say(f"  {side}, {row.score:g}: {shorten(row.question, 80)}{answer}")


def _show_datasets(status: JobStatus) -> None:
    for what, name in (
        ("rows", status.dataset), ("held-out rows", status.held_out_dataset), ("preference pairs", status.pairs_dataset),
    ):  # fmt: skip
        if name:
            show.say(f"{what}: {name}")
    if status.dataset:
        held_out = f" --set data.holdout={status.held_out_dataset}" if status.held_out_dataset else ""
        show.say(f"→ studio data desk {status.dataset.removeprefix('dataset:')}")
        show.say(f"→ studio train SPEC.yaml --set data.train={status.dataset}{held_out}")
