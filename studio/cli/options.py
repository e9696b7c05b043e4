"""The options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path | None, typer.Option("--home", help="Studio home [default: $STUDIO_HOME or ~/.studio].", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Run id, id prefix, or `last`.")]
