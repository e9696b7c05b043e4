"""The options that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path | None, typer.Option("--home", help="Studio home [default: $STUDIO_HOME or ~/.studio].", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Run id, id prefix, or `last`.")]
All = Annotated[bool, typer.Option("--all", help="Also show rarely changed fields, memory by part, disk space and RAM.")]


class Shown(StrEnum):
    """How progress is shown."""

    bar = "bar"
    json = "json"
    none = "none"


Progress = Annotated[
    Shown | None,
    typer.Option(
        "--progress",
        help="bar; json: one object per line on stderr, for CI; none [default: bar, none with --json].",
        show_default=False,
    ),
]
