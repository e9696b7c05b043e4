"""`studio prune`: a smaller model of a run or a model, healed on the run's own rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.cli import follow, show
from studio.cli.options import Home, Json, Progress


def prune(
    given: Annotated[
        str, typer.Argument(metavar="RUN_OR_MODEL", help="A run, or a model: a folder, a hub id.", show_default=False)
    ],
    layers: Annotated[int, typer.Option("--layers", min=1, help="How many decoder layers are left out.", show_default=False)],
    rows: Annotated[
        str, typer.Option("--rows", metavar="FILE", help="Rows by which layers are chosen [default: the run's own].")
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the smaller model [default: in the home].", show_default=False)
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the run that heals it.", show_default=False)] = None,
    heal: Annotated[bool, typer.Option("--heal/--no-heal", help="Train the smaller model on the run's rows.")] = True,
    home: Home = None,
    json: Json = False,
    progress: Progress = None,
) -> None:
    """Leave out the layers that change least on a run's own rows, and heal the smaller model by training it on them."""
    from studio.app import pruning

    pruned = pruning.prune(given, layers, home, rows, out, name, heal)
    if not json:
        show.say(pruned.summary)
        show.say(f"model: {pruned.folder}")
    if pruned.run is None:
        if json:
            show.as_json({"folder": str(pruned.folder), **pruned.record.as_json()})
        else:
            show.say(f"heal it: studio train SPEC --set model.name={pruned.folder}")
        return
    pruning.start(pruned)
    raise typer.Exit(follow.follow(pruned.run, json, {"pruned": pruned.record.as_json()}, progress=progress))
