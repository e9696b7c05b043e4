"""`studio adapters …`: several adapters as one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

from studio.cli import follow, show
from studio.cli.options import Home, Json, Progress
from studio.core.errors import SpecError
from studio.core.signals import heard_as_interrupt

app = typer.Typer(help="Merge adapters.", no_args_is_help=True)


@app.callback()
def adapters() -> None:
    """Makes `merge` a subcommand although it is the only one."""


@app.command("merge")
def merge(
    adapter_names: Annotated[
        list[str],
        typer.Argument(metavar="ADAPTER…", help="Two or more runs, adapter folders, or hub:OWNER/NAME.", show_default=False),
    ],
    method: Annotated[
        Literal["cat", "svd", "ties", "dare"],
        typer.Option(help="cat: exact, ranks add up; svd: reduced to a rank; ties, dare: experimental."),
    ] = "cat",
    weights: Annotated[
        str, typer.Option(metavar="W,W…", help="One weight per adapter [default: equal].", show_default=False)
    ] = "",
    rank: Annotated[
        int | None, typer.Option(min=1, help="Rank of the result; not for cat [default: the largest rank].", show_default=False)
    ] = None,
    density: Annotated[
        float | None,
        typer.Option(help="Share of values kept by ties [default: 0.2] and dare [default: 0.5].", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed for dare.")] = 0,
    name: Annotated[str | None, typer.Option("--name", help="Name of the new run.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write an adapter folder instead of a run.", show_default=False)
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the new run until it ends.")] = True,
    home: Home = None,
    json: Json = False,
    progress: Progress = None,
) -> None:
    """Merge adapters of the same base model. Merging runs creates a new run, evaluated on the held-out rows of all."""
    from studio.app import adapters as use_case

    request = use_case.MergeRequest(tuple(adapter_names), method, _numbers(weights), rank, density, seed)
    with heard_as_interrupt():
        merged = use_case.merge(request, home, out, name)
    if not json:
        record = merged.record
        show.table(
            ("adapter", "weight", "rank"), [(part.name, f"{part.weight:g}", part.rank) for part in record.parts], right=(1, 2)
        )
        show.say(use_case.summary(record))
        if warning := use_case.quantizations(merged, home):
            show.say(f"! {warning}", "yellow")
    if merged.run is None:
        show.as_json({"folder": str(merged.folder), **merged.record.as_json()}) if json else show.say(
            f"folder: {merged.folder}"
        )
        return
    use_case.start(merged)
    if not wait:
        shown = {"run": merged.run.id, "merge": merged.record.as_json()}
        show.as_json(shown) if json else show.say(f"run {merged.run.id}: studio runs watch {merged.run.id}")
        return
    raise typer.Exit(follow.follow(merged.run, json, {"merge": merged.record.as_json()}, progress=progress))


def _numbers(text: str) -> tuple[float, ...]:
    try:
        weights = tuple(float(part) for part in text.split(",") if part.strip())
        if not all(map(math.isfinite, weights)):
            raise ValueError
        return weights
    except ValueError:
        raise SpecError(
            f"`{text}` is not a list of weights", hint="Write numbers separated by commas, such as 0.7,0.3.", where="--weights"
        ) from None
