"""`studio prune`: a run's model or another model with fewer layers, healed by training on the run's rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.cli import follow, show
from studio.cli.options import Home, Json, Progress
from studio.core.signals import heard_as_interrupt


def prune(
    run_or_model: Annotated[
        str, typer.Argument(metavar="RUN_OR_MODEL", help="A run, or a model (folder or hub id).", show_default=False)
    ],
    layers: Annotated[int, typer.Option("--layers", min=1, help="Number of decoder layers to remove.", show_default=False)],
    rows: Annotated[
        str, typer.Option("--rows", metavar="FILE", help="Rows used to choose the layers [default: those of the run].")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the smaller model [default: in the Studio home].", show_default=False),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the healing run.", show_default=False)] = None,
    heal: Annotated[bool, typer.Option("--heal/--no-heal", help="Train the smaller model, taught by the whole one.")] = True,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the healing run until it ends.")] = True,
    home: Home = None,
    json: Json = False,
    progress: Progress = None,
) -> None:
    """Remove the layers that matter least on a run's rows, and heal the smaller model by distillation from the whole one."""
    from studio.app import pruning

    with heard_as_interrupt():
        pruned = pruning.prune(run_or_model, layers, home, rows, out, name, heal)
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
    if not wait:
        shown = {"run": pruned.run.id, "pruned": pruned.record.as_json()}
        show.as_json(shown) if json else show.say(f"run {pruned.run.id}: studio runs watch {pruned.run.id}")
        return
    raise typer.Exit(follow.follow(pruned.run, json, {"pruned": pruned.record.as_json()}, progress=progress))
