"""`studio sweep`: one run for each combination of values, and the runs side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from studio.cli import follow, show
from studio.cli.options import Home, Json, Progress
from studio.cli.train import Settings, SpecFile, read_spec
from studio.core.text import plural

Values = Annotated[
    list[str], typer.Option("--vary", metavar="A.B=C,D", help="A field of the spec and the values to try; repeatable.")
]


def sweep(
    spec: SpecFile,
    values: Values,
    settings: Settings = None,
    home: Home = None,
    json: Json = False,
    progress: Progress = None,
    queued: Annotated[bool, typer.Option("--queue", help="Add the runs to the queue and return.")] = False,
) -> None:
    """Run a spec once for each combination of values, one run after another, and compare the runs. A run that fails does not
    end the sweep. Ctrl-C stops the current run and starts no further one."""
    from studio.app import comparison, queue, runs, sweeps

    variants = sweeps.variants(read_spec(spec, settings), sweeps.parse_values(values))
    if queued:
        made = [queue.submit(variant, home) for variant in variants]
    else:
        if not json:
            show.say(f"{plural(len(variants), 'run')}, one after another")
        made = []
        for variant in variants:
            made.append(runs.start(variant, home))
            if follow.detached(made[-1], json, progress=progress) or made[-1].status.state == "stopped":
                break
            if not json and made[-1].status.error:
                show.say(f"{made[-1].status.error}\n→ {made[-1].status.error.hint}", "red")
    codes = [0 if queued else follow.exit_code(run) for run in made]
    if json:
        show.as_json([{**run.summary().as_json(), "exit_code": code} for run, code in zip(made, codes, strict=True)])
    elif queued:
        for run in made:
            show.say(f"queued: {run.id}")
    elif len(made) > 1:
        show.comparison(comparison.compare(*made))
    raise typer.Exit(next((code for code in codes if code), 0))
