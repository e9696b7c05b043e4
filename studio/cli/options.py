"""The options that several commands take."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from studio.core.errors import SpecError

Home = Annotated[
    Path | None, typer.Option("--home", help="Studio home [default: $STUDIO_HOME or ~/.studio].", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="Run id, id prefix, or `last`.")]
Base = Annotated[
    str,
    typer.Option(
        "--base",
        metavar="FOLDER_OR_HUB_ID",
        help="Base model for an adapter folder, instead of the one it names.",
        show_default=False,
    ),
]
All = Annotated[bool, typer.Option("--all", help="Also show rarely changed fields, memory by part, disk space and RAM.")]

PriceIn = Annotated[
    float | None, typer.Option("--price-in", min=0, help="US dollars per million input tokens.", show_default=False)
]
PriceOut = Annotated[
    float | None, typer.Option("--price-out", min=0, help="US dollars per million output tokens.", show_default=False)
]


def both_prices(price_in: float | None, price_out: float | None) -> tuple[float, float] | None:
    """The price of --price-in and --price-out; None without either. Raises SpecError for one without the other."""
    if price_in is None and price_out is None:
        return None
    if price_in is None or price_out is None:
        raise SpecError(
            "--price-in and --price-out must be used together", hint="Set both, per million tokens.", where="--price-in"
        )
    return price_in, price_out


@contextlib.contextmanager
def price_options() -> Iterator[None]:
    """A price that is not known is asked for by the options of the command, not by the field of a file."""
    try:
        yield
    except SpecError as error:
        if error.where != "price":
            raise
        hint = "Set it in US dollars per million tokens: --price-in 0.15 --price-out 0.60 (0 and 0 if it is free)."
        raise SpecError(error.message, hint=hint, where="--price-in, --price-out") from None


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
