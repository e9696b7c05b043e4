"""`studio notebooks`: the shipped notebooks, copied to where the user works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.cli import show
from studio.cli.options import Json
from studio.core import resources


def notebooks(
    copy_to: Annotated[Path, typer.Argument(metavar="COPY_TO", help="Folder to copy the notebooks to.", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are already there.")] = False,
    json: Json = False,
) -> None:
    """Copy the shipped notebooks to a folder: quick start, own data, evidence, export and serving."""
    written = resources.copy_notebooks(copy_to, overwrite)
    if json:
        show.as_json([str(file) for file in written])
        return
    for file in written:
        show.say(str(file))
    show.say(f"Open them with: jupyter lab {copy_to}")
