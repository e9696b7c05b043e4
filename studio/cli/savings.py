"""`studio savings`: what each smaller version of a run saves, and its effect on quality."""

from __future__ import annotations

from typing import Annotated

import typer

from studio.cli import show
from studio.cli.options import Home, Json, RunName


def savings(
    run: RunName,
    others: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN…", help="Other runs on the same data, such as a smaller model's.", show_default=False),
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Compare a run with its exports, pruned models and other runs: size, speed, and quality with intervals.

    The figures are read from existing evidence and manifests; nothing is measured again.
    """
    from studio.app import runs
    from studio.app import savings as use_case

    found = use_case.savings(runs.find(run, home), [runs.find(other, home) for other in others or []], home)
    if json:
        show.as_json(found.as_json())
        return
    show.say(f"score: {found.label.lower()} on the run's held-out rows")
    show.table(use_case.COLUMNS, use_case.table(found), right=(1, 2, 3, 4, 5))
    if any(row.speed_from == "evaluation" for row in found.rows):
        show.say("* from the evaluation, many answers at once; `studio bench` measures runs and exports the same way", "dim")
