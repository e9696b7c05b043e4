"""`studio resize`: a model with an embedding for each token of its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.cli import show
from studio.cli.options import Home, Json
from studio.core.signals import heard_as_interrupt


def resize(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model: folder or hub id.", show_default=False)],
    tokenizer: Annotated[
        str, typer.Option("--tokenizer", metavar="FOLDER", help="Folder with the tokenizer [default: the model's own].")
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the resized model [default: in the Studio home].", show_default=False),
    ] = None,
    home: Home = None,
    json: Json = False,
) -> None:
    """Give a model an embedding for each token that was added to its tokenizer, and write it as a new model folder."""
    from studio.app import resizing

    with heard_as_interrupt():
        resized = resizing.resize(model, home, tokenizer, out)
    if json:
        show.as_json({"folder": str(resized.folder), **resized.record.as_json()})
        return
    show.say(resized.summary)
    show.say(f"model: {resized.folder}")
    show.say(f"train on it: studio train SPEC --set model.name={resized.folder}")
